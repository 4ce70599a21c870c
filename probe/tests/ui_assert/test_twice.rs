#[probe::test]
#[test]
fn arm() {}

#[probe::test]
fn argument(of: u8) {}

fn main() {}
