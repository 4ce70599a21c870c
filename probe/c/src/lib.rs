//! The probe for programs in C and C++: what stands behind `include/tracer.h` and
//! `include/tracer_liburing.h`, as a static library.
//!
//! Every exported name begins with `tracer_`. The headers are the documentation for users; here is what
//! they call, one call for each macro, and only while something is recorded: inline code in the header
//! looks at `tracer_state` first, which is the probe's own word.
//!
//! Null is allowed wherever C hands in a pointer, but for places: a hook without its ring does nothing.
//!
//! Modules that hold `unsafe`: all of them, because all of them are handed pointers by C.

pub mod buffers;
pub mod coroutine;
pub mod given;
pub mod place;
pub mod pointer;
pub mod ring;
mod rings;
pub mod text;
pub mod uring;
