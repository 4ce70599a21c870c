//! Many threads: one after the other, and at once.

use std::sync::Barrier;

use crate::note;

/// So many threads that live for one record each, four at a time.
pub(crate) fn one_after_the_other(count: u64) {
    for first in (1..=count).step_by(4) {
        let numbers = first..(first + 4).min(count + 1);
        let threads: Vec<_> = numbers
            .map(|number| std::thread::spawn(move || note(number)))
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("a plain thread"));
    }
}

/// So many threads at once, with a record each.
pub(crate) fn crowd(count: usize) {
    let all = Barrier::new(count);
    std::thread::scope(|scope| {
        for number in 0..count as u64 {
            let all = &all;
            std::thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn_scoped(scope, move || {
                    note(number + 1);
                    all.wait();
                })
                .expect("a thread");
        }
    });
}

/// Threads with a name each, all alive at once, and more places and types than one of them uses.
pub(crate) fn names() {
    const PLACES: [fn(u64); 4] = [
        |number| probe::peek::<Box<[u8; 1]>>(number as *mut [u8; 1]),
        |number| probe::peek::<Box<[u8; 2]>>(number as *mut [u8; 2]),
        |number| probe::peek::<Box<[u8; 3]>>(number as *mut [u8; 3]),
        |number| probe::peek::<Box<[u8; 4]>>(number as *mut [u8; 4]),
    ];
    let all = std::sync::Barrier::new(600);
    std::thread::scope(|scope| {
        for number in 1..=600u64 {
            let all = &all;
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .stack_size(64 * 1024)
                .spawn_scoped(scope, move || {
                    all.wait();
                    PLACES[number as usize % 4](number);
                    all.wait();
                })
                .expect("a thread");
        }
    });
}

/// Boxes that go to another thread as raw pointers, and come back as others.
pub(crate) fn handed() {
    let (there, taken) = std::sync::mpsc::channel::<usize>();
    let (back, returned) = std::sync::mpsc::channel::<usize>();
    let other = std::thread::spawn(move || {
        for address in taken {
            // SAFETY: leaked by the sender, and sent once.
            let value: Box<u64> = unsafe { probe::from_raw(address as *mut u64) };
            let next = probe::into_raw(Box::new(*value + 1));
            back.send(next as usize).expect("the first thread waits");
        }
    });
    for round in 0..3000u64 {
        // Now and then several are on their way.
        let count = 1 + round % 7;
        for number in 0..count {
            let raw = probe::into_raw(Box::new(number));
            there.send(raw as usize).expect("the other thread waits");
        }
        for _ in 0..count {
            let address = returned.recv().expect("one comes back for each");
            // SAFETY: leaked by the sender, and sent once.
            drop(unsafe { probe::from_raw::<Box<u64>>(address as *mut u64) });
        }
    }
    drop(there);
    other.join().expect("a plain thread");
}
