//! A page of a made-up runtime, asked over sockets: what is answered to whom, and what it withstands.

mod answers;
mod fuzz;
mod runtime;
mod wire;
