//! The types of the messages of Ray's client port, written from their description. Nothing without the feature `ray`.

fn main() {
    println!("cargo::rerun-if-changed=src/ray/transport/ray_client.proto");
    #[cfg(feature = "ray")]
    {
        let messages = protox::compile(["ray_client.proto"], ["src/ray/transport"]).expect("the description is valid");
        // `bytes`, so that what arrived is handed out and not copied.
        let writer = tonic_prost_build::configure().build_server(false).build_transport(false).bytes(".");
        writer.compile_fds(messages).expect("the output folder can be written");
    }
}
