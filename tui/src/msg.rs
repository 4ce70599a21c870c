//! Messages: everything that can happen to the viewer, in the viewer's own words.
//!
//! A key, a signal or a piece of unfinished work becomes a [`Msg`]; [`crate::update::update`] applies
//! it to the model and answers with an [`Effect`], which the shell carries out.

use crate::sorting::By;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Msg {
    /// Move the selection of the pane that has the keys (or the help).
    Move(Step),
    /// Scroll the text that stands with the list by so many lines.
    Text(i32),
    /// Open what is selected.
    Open,
    /// One level up.
    Up,
    /// Up, and from the findings out.
    Leave,
    /// Out, at once.
    Quit,
    /// Out, and leave the screen printed.
    QuitPrinted,
    /// Lend the terminal to a shell.
    Shell,
    /// Give the keys to another pane.
    Pane(Toward),
    /// Give the pane with the keys all of the screen, or share it again.
    Alone,
    /// Give it more of the screen, or less.
    Room(Fold),
    /// Show a view.
    Show(View),
    /// Go to another finding.
    Finding(Toward),
    /// Go to another finding that is a warning.
    Warning(Toward),
    /// Say what the rule of the finding looks for.
    Explain,
    /// Go to the newest event, and stay there.
    Tail,
    /// Go to another event of the same object.
    SameObject(Toward),
    /// Tell of another object that the event touches.
    OtherObject,
    /// Show the other of two traces.
    OtherTrace,
    /// Go to the first cause.
    FirstCause,
    /// Go to another event that the filter matches.
    Hit(Toward),
    /// Go back or forward in the history of places.
    History(Toward),
    /// Fold or unfold what followed from the selected finding.
    Fold(Fold),
    /// Move the cursor in time by so many columns.
    Time(i32),
    /// Go to another event of the lane.
    OnLane(Toward),
    /// Show another stretch of time.
    Zoom(Zoom),
    /// Move the stretch of time that is shown.
    Pan(Toward),
    /// Mark the time of the cursor.
    MarkTime,
    /// Begin, end or drop a selected stretch of time.
    Range,
    /// Begin to type the name of a lane.
    FindLane,
    /// Keep a lane on top, or let it go.
    Pin,
    /// Show a ring's operations one by one, or as a depth.
    Turn,
    /// Count what is held by another column.
    Pivot,
    /// Sort the rows of the list by this; again, the other way round.
    Sort(By),
    /// Open the source at the event's line in an editor.
    Edit,
    /// Begin to type a filter.
    Prompt,
    /// Begin to type a command.
    Palette,
    /// Choose another command of those that fit.
    Choose(Toward),
    /// Write the chosen command out.
    Complete,
    /// Bookmark the event, or take its bookmark away.
    Bookmark,
    /// Write a note to the event.
    Note,
    /// Begin to say why the finding is not to be told.
    Suppress,
    /// Take a suppression back.
    Unsuppress,
    /// List hidden findings, or no longer.
    ShowHidden,
    /// Write all notes and findings as Markdown.
    Export,
    /// Copy what the selected row says.
    CopyRow,
    /// Copy where in the source the event happened.
    CopyPlace,
    /// Copy the word that the event is about.
    CopyWord,
    /// Copy the finding in focus as Markdown.
    CopyFinding,
    /// Copy the filter, as other commands take it.
    CopyFilter,
    /// A character of what is typed.
    Type(char),
    /// Take the last character away.
    Erase,
    /// Take all characters away.
    EraseAll,
    /// Keep the filter.
    Accept,
    /// Drop the filter.
    Cancel,
    /// Show the help.
    Help,
    /// The first key of a pair.
    Prefix(char),
    /// The second key of a pair does not come.
    Hesitate,
    /// Stop the process until the shell continues it.
    Suspend,
    /// Stop showing what is new, or go on with it.
    Pause,
    /// Leave, and let the program run on.
    LeaveRunning,
    /// Leave, and have the program end.
    EndProgram,
    /// Do not leave after all.
    Stay,
    /// Draw everything anew.
    Repaint,
    /// The terminal has this size now.
    Resize {
        /// Its columns.
        columns: u16,
        /// Its rows.
        rows: u16,
    },
    /// The mouse did something there.
    Mouse(Mouse),
    /// Take the mouse from the terminal, or give it back.
    TurnMouse,
    /// Time for a slice of unfinished work.
    Work,
    /// Nothing but the end of a pair of keys.
    Nothing,
}

/// What the mouse did, and where. Columns and rows count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mouse {
    /// What.
    pub action: MouseAction,
    /// In which column.
    pub column: u16,
    /// In which row.
    pub row: u16,
    /// Whether Ctrl was held.
    pub ctrl: bool,
}

/// What a mouse does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MouseAction {
    /// Its first button goes down.
    Press,
    /// It moves with the button down.
    Drag,
    /// The button goes up.
    Release,
    /// Its wheel turns.
    Wheel(Toward),
}

/// How far a selection moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// By rows; down is positive.
    Lines(i32),
    /// By half the height of the list.
    Halves(i32),
    /// By the height of the list.
    Pages(i32),
    /// To the first row.
    First,
    /// To the last row.
    Last,
}

/// One of two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    /// Later, further down.
    Next,
    /// Earlier, further up.
    Previous,
}

/// What the screen is mainly about. Each view shows one pane, or two where there is room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// What is wrong.
    #[default]
    Findings,
    /// The life of one object.
    Biography,
    /// Everything that happened.
    Events,
    /// Who did what when.
    Timeline,
    /// Where in the source it happened.
    Source,
    /// What rings did.
    Rings,
    /// What is held.
    Objects,
    /// What was lost.
    Losses,
    /// What the reader noted.
    Notes,
    /// What changed from another trace.
    Diff,
}

impl View {
    /// Every view, in the order of their keys. The last one is there only where two traces are.
    pub const ALL: [Self; 10] = [
        Self::Findings,
        Self::Biography,
        Self::Events,
        Self::Timeline,
        Self::Source,
        Self::Rings,
        Self::Objects,
        Self::Losses,
        Self::Notes,
        Self::Diff,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Findings => "Findings",
            Self::Biography => "Biography",
            Self::Events => "Events",
            Self::Timeline => "Timeline",
            Self::Source => "Source",
            Self::Rings => "Rings",
            Self::Objects => "Objects",
            Self::Losses => "Loss",
            Self::Notes => "Notes",
            Self::Diff => "Diff",
        }
    }
}

/// How the stretch of time that is shown changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zoom {
    /// Half as long.
    In,
    /// Twice as long.
    Out,
    /// The life of the focused object; where that is shown already, all.
    Fit,
    /// All of the recording.
    All,
    /// What was shown before.
    Back,
}

/// Whether the consequences of a finding are rows of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// They are.
    Open,
    /// They are counted only.
    Shut,
}

/// What the shell is asked to do after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing changed that can be seen.
    Nothing,
    /// Draw.
    Draw,
    /// Forget what the terminal shows, and draw.
    Repaint,
    /// Stop the process until the shell continues it.
    Suspend,
    /// Open the place of [`crate::source::place_of`] in an editor.
    Edit,
    /// Lend the terminal to a shell.
    Shell,
    /// Take or give back the mouse, as the model has it now.
    Mouse,
    /// Keep the notes.
    Save,
    /// Change the file with suppressions, and say what became of it.
    Suppress,
    /// Write notes and findings as Markdown.
    Export,
    /// Give what the model holds for it to the terminal's clipboard, and draw.
    Copy,
    /// Leave.
    Quit,
    /// Leave, and print what is on the screen.
    QuitPrinted,
    /// Leave, and have the program end.
    EndProgram,
}
