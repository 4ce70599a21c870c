#[probe::test(runtime = tokio)]
fn arm() {}

fn main() {}
