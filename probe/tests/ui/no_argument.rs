#[probe::instrument(Shared)]
fn arm() {}

fn main() {}
