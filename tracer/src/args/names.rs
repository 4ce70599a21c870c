//! Where the names of call stacks come from.

use std::path::PathBuf;

use clap::Args;

use crate::symbols::{PathMap, Places};

/// Where the names of call stacks come from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Names {
    /// For call stacks: programs, libraries and sources that the trace names below FROM lie below TO.
    #[arg(long, value_name = "FROM=TO")]
    pub(crate) path_map: Vec<PathMap>,

    /// For call stacks: another folder with separate debug information, laid out as /usr/lib/debug is.
    #[arg(long, value_name = "DIR")]
    pub(crate) debug_dir: Vec<PathBuf>,
}

impl Names {
    pub(crate) fn places(&self) -> Places {
        Places {
            maps: self.path_map.clone(),
            debug_dirs: self.debug_dir.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Symbolize {
    /// The build-id that the file must have, in hex.
    pub(crate) build_id: String,

    /// The file.
    pub(crate) file: PathBuf,
}
