//! The viewer without a terminal: a trace, keys, and the screens that they lead to.

use anyhow::{Context, Result, anyhow};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use traces::{Input, Trace};
use tui::keys::{message_for, script::keys};
use tui::model::{Model, Work};
use tui::msg::Msg;
use tui::update::update;
use tui::{Options, Theme};

/// A trace of the corpus: the original bug, as its demo was recorded on a simulated ring.
const TRACE: &str = "traces/corpus/sealed-encoding-1.bin";

/// The viewer at one size.
pub(crate) struct Stage {
    model: Model,
    size: (u16, u16),
}

impl Stage {
    /// Opens the viewer.
    pub(crate) fn open(columns: u16, rows: u16) -> Result<Self> {
        let bytes = std::fs::read(crate::root().join(TRACE)).context(TRACE)?;
        let name = "trace.bin";
        let trace = Trace::read(&[Input {
            name,
            bytes: &bytes,
        }])
        .context(TRACE)?;
        let verdict = trace.verdict().clone();
        let options = Options {
            title: name.into(),
            theme: Theme::Dark,
            ..Options::default()
        };
        let mut stage = Self {
            model: tui::open(trace, verdict, options),
            size: (columns, rows),
        };
        update(&mut stage.model, Msg::Resize { columns, rows });
        stage.finish();
        Ok(stage)
    }

    fn finish(&mut self) {
        while self.model.work() != Work::None {
            update(&mut self.model, Msg::Work);
        }
    }

    /// Presses keys one after the other; after each, `seen` is called.
    pub(crate) fn press(
        &mut self,
        script: &str,
        mut seen: impl FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        for key in keys(script).map_err(|error| anyhow!(error))? {
            let msg =
                message_for(key, self.model.context(), self.model.keymap()).ok_or_else(|| {
                    anyhow!("{key:?} of `{script}` means nothing where it is pressed")
                })?;
            update(&mut self.model, msg);
            self.finish();
            seen(self)?;
        }
        Ok(())
    }

    /// The screen.
    pub(crate) fn draw(&self) -> Result<Buffer> {
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1))?;
        terminal.draw(|frame| tui::view::view(&self.model, frame))?;
        Ok(terminal.backend().buffer().clone())
    }
}
