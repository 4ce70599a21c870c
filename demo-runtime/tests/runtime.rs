//! The runtime on all of its rings: spawn, join, yield, time, cancellation, and the end of a run.
//!
//! Where io_uring is not permitted these tests fail with the reason, unless the environment allows the
//! simulated ring alone.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use demo_runtime::Runtime;
use demo_runtime::permission::kernel_or_reason;
use demo_runtime::race::{Either, race};
use demo_runtime::ring::RingKind;
use demo_runtime::runtime::{Config, Tally};
use demo_runtime::signal::Signal;
use demo_runtime::tcp::{Listener, Stream};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The rings to test, of those asked for.
fn rings(asked: &[RingKind]) -> Vec<RingKind> {
    let real = kernel_or_reason();
    asked
        .iter()
        .copied()
        .filter(|ring| real || !ring.is_real())
        .collect()
}

fn real_rings() -> Vec<RingKind> {
    rings(&[RingKind::Crate, RingKind::InPlace])
}

/// Runs a correct program, and checks that the runtime noticed nothing.
fn run<F>(ring: RingKind, main: impl FnOnce(Runtime) -> F) -> F::Output
where
    F: Future<Output: 'static> + 'static,
{
    let config = Config {
        ring,
        entries: 4,
        seed: 7,
        fault: None,
    };
    let (output, tally) = Runtime::run(config, main).expect("the program runs to its end");
    let completions = tally.completions;
    assert_eq!(
        tally,
        Tally {
            completions,
            ..Tally::default()
        }
    );
    output
}

#[test]
fn a_join_returns_what_its_coroutine_returned() {
    for ring in rings(&RingKind::ALL) {
        let sum = run(ring, |runtime| async move {
            let inner = runtime.clone();
            let late = runtime.spawn("late", async move {
                inner.sleep(ms(2)).await;
                40
            });
            let early = runtime.spawn("early", async { 2 });
            Some(late.await? + early.await?)
        });
        assert_eq!(sum, Some(42));
    }
}

#[test]
fn who_yields_runs_again_after_all_others() {
    for ring in rings(&RingKind::ALL) {
        let order = run(ring, |runtime| async move {
            let order = Rc::new(RefCell::new(Vec::new()));
            let joins = ["a", "b"].map(|name| {
                let (runtime, order) = (runtime.clone(), order.clone());
                let body = runtime.clone();
                runtime.spawn(name, async move {
                    for round in 0..3 {
                        order.borrow_mut().push(format!("{name}{round}"));
                        body.yield_now().await;
                    }
                })
            });
            for join in joins {
                join.await;
            }
            order.take().join(" ")
        });
        assert_eq!(order, "a0 b0 a1 b1 a2 b2");
    }
}

#[test]
fn many_more_operations_than_slots_all_complete() {
    for ring in rings(&RingKind::ALL) {
        let fired = run(ring, |runtime| async move {
            let timers: Vec<_> = (0..100).map(|_| runtime.sleep(ms(1))).collect();
            let mut fired = 0;
            for timer in timers {
                timer.await;
                fired += 1;
            }
            fired
        });
        assert_eq!(fired, 100);
    }
}

#[test]
fn a_dropped_timer_is_cancelled_and_not_waited_for() {
    for ring in rings(&RingKind::ALL) {
        let (winner, took) = run(ring, |runtime| async move {
            let start = runtime.now();
            let hour = runtime.sleep(Duration::from_secs(3600));
            let winner = race(hour, runtime.sleep(ms(1))).await;
            (winner, runtime.now() - start)
        });
        assert_eq!(winner, Either::Second(()));
        assert!(took < Duration::from_secs(60));
    }
}

#[test]
fn an_operation_that_is_never_polled_is_cancelled_too() {
    for ring in rings(&RingKind::ALL) {
        run(ring, |runtime| async move {
            drop(runtime.sleep(Duration::from_secs(3600)));
        });
    }
}

#[test]
fn what_is_alive_when_main_returns_is_dropped() {
    struct Flag(Rc<Cell<bool>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    for ring in rings(&RingKind::ALL) {
        let dropped = Rc::new(Cell::new(false));
        let flag = Flag(dropped.clone());
        run(ring, |runtime| async move {
            let inner = runtime.clone();
            runtime.spawn("background", async move {
                let _flag = flag;
                inner.sleep(Duration::from_secs(3600)).await;
            });
            runtime.sleep(ms(1)).await;
        });
        assert!(dropped.get());
    }
}

#[test]
fn a_cancelled_coroutine_joins_with_nothing() {
    for ring in rings(&RingKind::ALL) {
        run(ring, |runtime| async move {
            let sleeper = {
                let inner = runtime.clone();
                runtime.spawn("sleeper", async move {
                    inner.sleep(Duration::from_secs(3600)).await;
                })
            };
            runtime.sleep(ms(1)).await;
            sleeper.cancel();
            assert_eq!(sleeper.await, None);
        });
    }
}

#[test]
fn waiting_for_nothing_is_an_error_and_not_a_hang() {
    for ring in rings(&RingKind::ALL) {
        let config = Config {
            ring,
            entries: 4,
            seed: 0,
            fault: None,
        };
        let error = Runtime::run(config, |_| std::future::pending::<()>()).err();
        assert_eq!(
            error.map(|error| error.kind()),
            Some(io::ErrorKind::Deadlock)
        );
    }
}

#[test]
fn an_operation_can_be_awaited_by_another_coroutine_than_its_maker() {
    for ring in rings(&RingKind::ALL) {
        run(ring, |runtime| async move {
            let made_here = runtime.sleep(ms(2));
            let awaited_there = runtime.spawn("there", made_here);
            assert_eq!(awaited_there.await, Some(()));
        });
    }
}

#[test]
fn a_receive_that_loses_its_race_keeps_its_buffer_until_the_kernel_is_done() {
    for ring in real_rings() {
        run(ring, |runtime| async move {
            let listener =
                Listener::bind(&runtime, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.address();
            let accept = listener.accept();
            let client = Stream::connect(&runtime, address).await.unwrap();
            let server = accept.await.unwrap();
            for round in 0..50u8 {
                // Nothing was sent, so the receive loses and is cancelled in flight...
                let lost = runtime.timeout(Duration::from_micros(50), server.receive(vec![0; 64]));
                assert!(lost.await.is_none());
                // ...and what is sent now goes to the next one, whole.
                client.send_all(vec![round; 64]).await.unwrap();
                assert_eq!(server.receive_exact(64).await.unwrap(), [round; 64]);
            }
        });
    }
}

#[test]
fn a_connection_that_nobody_takes_any_more_is_closed() {
    for ring in real_rings() {
        run(ring, |runtime| async move {
            let listener =
                Listener::bind(&runtime, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.address();
            // Accepted by the kernel, but the future is dropped without a look at the outcome.
            let accept = listener.accept();
            let client = Stream::connect(&runtime, address).await.unwrap();
            runtime.sleep(ms(5)).await;
            drop(accept);
            let (result, _) = client.receive(vec![0; 8]).await;
            assert_eq!(
                result.unwrap(),
                0,
                "the peer sees the end of the connection"
            );
        });
    }
}

#[test]
fn wakes_from_another_thread_are_counted_and_none_is_lost() {
    for ring in real_rings() {
        let wakes = run(ring, |runtime| async move {
            let (signal, remote) = Signal::new(&runtime).unwrap();
            let waker = std::thread::spawn(move || (0..100).try_for_each(|_| remote.wake()));
            let mut wakes = 0;
            while wakes < 100 {
                wakes += signal.wait().await.unwrap();
            }
            waker.join().unwrap().unwrap();
            wakes
        });
        assert_eq!(wakes, 100);
    }
}
