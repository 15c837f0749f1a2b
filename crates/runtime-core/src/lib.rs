//! Media pipelines: data, manifests, the node graph and the transport traits.
