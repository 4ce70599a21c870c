#[probe::test]
async fn nobody_runs_it() {}

fn main() {}
