//! Drives a server of the Toxiproxy API with `noxious-client`: URL of the API, and the port of an
//! echo server. Ends with 0 where everything was as it should be.

use std::error::Error;
use std::time::{Duration, Instant};

use noxious_client::{Client, Proxy, StreamDirection, Toxic, ToxicKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("no URL")?;
    let echo = format!("127.0.0.1:{}", arguments.next().ok_or("no port")?);
    let client = Client::new(&url);
    client.create_proxy("echo", "127.0.0.1:0", &echo).await?;
    // What it made does not know the port that the server chose.
    let proxy = client.proxy("echo").await?;
    assert_eq!(proxy.config.upstream, echo);
    assert!(proxy.is_enabled());
    let again = client.create_proxy("echo", "127.0.0.1:0", &echo).await;
    let said = format!("{:?}", again.unwrap_err());
    assert!(said.contains("proxy already exists"), "{said}");
    assert!(client.proxy("nobody").await.is_err());

    every_kind_comes_back(&proxy).await?;
    client.reset_state().await?;
    assert!(proxy.toxics().await?.is_empty());
    a_toxic_acts_until_it_is_removed(&proxy).await?;
    a_disabled_proxy_refuses(proxy, &client).await?;
    println!("noxious-client: all as it should be");
    Ok(())
}

fn toxic(kind: ToxicKind, name: &str) -> Toxic {
    Toxic {
        kind,
        name: name.to_owned(),
        toxicity: 1.0,
        direction: StreamDirection::Downstream,
    }
}

async fn every_kind_comes_back(proxy: &Proxy) -> Result<(), Box<dyn Error>> {
    let kinds = [
        ToxicKind::Latency {
            latency: 5,
            jitter: 2,
        },
        ToxicKind::Timeout { timeout: 60_000 },
        ToxicKind::Bandwidth { rate: 1000 },
        ToxicKind::SlowClose { delay: 10 },
        ToxicKind::Slicer {
            average_size: 64,
            size_variation: 32,
            delay: 10,
        },
        ToxicKind::LimitData { bytes: 1000 },
    ];
    for (index, kind) in kinds.into_iter().enumerate() {
        let name = format!("toxic{index}");
        let added = proxy.add_toxic(&toxic(kind, &name)).await?;
        assert_eq!((added.kind, &added.name), (kind, &name));
    }
    let all = proxy.toxics().await?;
    let told: Vec<ToxicKind> = all.iter().map(|it| it.kind).collect();
    assert_eq!(told, kinds);
    Ok(())
}

/// Sends a line through the proxy on an open connection, and tells how long its echo took.
async fn echo(stream: &mut TcpStream) -> Result<Duration, Box<dyn Error>> {
    let started = Instant::now();
    stream.write_all(b"hello\n").await?;
    let mut back = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut back)).await??;
    assert_eq!(&back, b"hello\n");
    Ok(started.elapsed())
}

async fn a_toxic_acts_until_it_is_removed(proxy: &Proxy) -> Result<(), Box<dyn Error>> {
    let mut stream = TcpStream::connect(&proxy.config.listen).await?;
    echo(&mut stream).await?;
    let slow = |latency| ToxicKind::Latency { latency, jitter: 0 };
    proxy.add_toxic(&toxic(slow(100), "slow")).await?;
    let took = echo(&mut stream).await?;
    assert!(took >= Duration::from_millis(100), "{took:?}");
    let downstream = StreamDirection::Downstream;
    let updated = proxy.update_toxic("slow", 1.0, slow(250), downstream);
    assert_eq!(updated.await?.kind, slow(250));
    let took = echo(&mut stream).await?;
    assert!(took >= Duration::from_millis(250), "{took:?}");
    proxy
        .update_toxic("slow", 1.0, slow(3_600_000), downstream)
        .await?;
    stream.write_all(b"hello\n").await?;
    proxy.remove_toxic("slow").await?;
    let mut back = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut back)).await??;
    echo(&mut stream).await?;
    Ok(())
}

async fn a_disabled_proxy_refuses(mut proxy: Proxy, client: &Client) -> Result<(), Box<dyn Error>> {
    let listen = proxy.config.listen.clone();
    proxy.disable().await?;
    assert!(TcpStream::connect(&listen).await.is_err());
    proxy.enable().await?;
    assert_eq!(proxy.config.listen, listen);
    echo(&mut TcpStream::connect(&listen).await?).await?;
    proxy.delete().await?;
    assert!(client.proxies().await?.is_empty());
    Ok(())
}
