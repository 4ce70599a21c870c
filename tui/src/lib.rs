//! The viewer: findings, biographies and events of a trace in a terminal.
//!
//! A key becomes a message, a message changes the model, the model is drawn; nothing goes another
//! way. Terminal, signals and clock belong to the shell; drawing cannot change the model.
//!
//! Reading order: [`keys`] (the key table), [`msg`] (what can happen), [`filter`], [`layout`] (what
//! stands where), [`text`].

#![deny(unsafe_code)]

pub mod keys;
pub mod msg;

pub mod filter;
pub mod layout;
pub mod text;
