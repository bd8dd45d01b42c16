//! The messages of Ray's client port, written at build time from `ray_client.proto`.
#![allow(missing_docs, dead_code, clippy::all, clippy::pedantic)]

tonic::include_proto!("ray.rpc");
