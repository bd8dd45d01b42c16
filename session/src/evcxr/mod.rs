//! evcxr's evaluator: for `MOBULA_EVALUATOR=evcxr`, and for a compiler that the direct evaluator does not understand.

mod context;
pub mod engine;
