//! `wss`.

use std::sync::Arc;

use remotemedia_signaling::{
    client::{ClientError, SignalingClient},
    server::{ServerConfig, SignalingServer},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::line::{audio, config};

/// A signaling server behind TLS, as behind a reverse proxy, and its certificate.
async fn start_tls() -> (std::net::SocketAddr, CertificateDer<'static>) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));

    let server = SignalingServer::new(ServerConfig::default());
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inner_address = inner.local_addr().unwrap();
    tokio::spawn(async move { server.serve(inner).await });
    let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = outer.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = outer.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut near) = acceptor.accept(stream).await else { return };
                let mut far = TcpStream::connect(inner_address).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, certificate)
}

fn client(address: std::net::SocketAddr, roots: rustls::RootCertStore) -> SignalingClient {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut config = config(address, "bob");
    config.url = format!("wss://localhost:{}/signal", address.port());
    config.tls = Some(Arc::new(tls));
    SignalingClient::new(config).unwrap()
}

#[tokio::test]
async fn a_trusted_certificate_lets_the_client_in() {
    let (address, certificate) = start_tls().await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let bob = client(address, roots);
    bob.announce(audio()).await.unwrap();
    bob.ping().await.unwrap();
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_and_named() {
    let (address, _) = start_tls().await;
    let mut config = config(address, "bob");
    config.url = format!("wss://localhost:{}", address.port());
    // With the trust store of this system, which does not know the certificate, if there is a store at all.
    let error = SignalingClient::new(config).unwrap().announce(audio()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Tls { .. }), "{error}");
    assert!(error.to_string().contains("trust store"), "{error}");
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_named() {
    let (_server, address) = crate::line::start(ServerConfig::default()).await;
    let bob = client(address, rustls::RootCertStore::empty());
    assert!(matches!(bob.announce(audio()).await, Err(ClientError::Tls { .. })));
}
