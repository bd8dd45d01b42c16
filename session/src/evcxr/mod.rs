//! The evaluator that is evcxr's: `MOBULA_EVALUATOR=evcxr`, and where the compiler is one that the other does not understand.

mod context;
pub mod engine;
