#[probe::instrument(Conn = Connection)]
fn arm() {}

fn main() {}
