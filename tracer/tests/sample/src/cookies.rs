//! Bugs with words that travel: nothing but the probe sees them.

use std::rc::Rc;

/// What travels.
#[derive(Debug)]
pub struct Conn(pub u8);

/// Taken back as often as given away.
///
/// ```
/// sample::cookies::taken_back();
/// ```
pub fn taken_back() {
    let raw = probe::into_raw(Box::new(Conn(1)));
    drop(unsafe { probe::from_raw::<Box<Conn>>(raw) });
}

/// T08: one leak, two reclaims. Another handle is alive, so that every byte stays valid.
pub fn reclaimed_twice() {
    let kept = Rc::new(Conn(1));
    let spare = Rc::clone(&kept);
    let raw = probe::into_raw(Rc::clone(&kept));
    drop(unsafe { probe::from_raw::<Rc<Conn>>(raw) });
    // Takes `spare`'s count.
    drop(unsafe { probe::from_raw::<Rc<Conn>>(raw) });
    std::mem::forget(spare);
}
