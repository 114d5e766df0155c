use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers one connection with these bytes, and keeps it open where `open`.
async fn answering(bytes: &'static str, open: bool) -> (Client, impl Future<Output = String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let read = stream.read(&mut head).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        if open {
            // Until the client leaves.
            stream.read(&mut [0; 16]).await.unwrap_or_default();
        }
        String::from_utf8(head[..read].to_vec()).unwrap()
    };
    let client = Client::new(address.parse().unwrap(), Duration::from_secs(20));
    (client, served)
}

#[tokio::test]
async fn an_answer_that_says_no_is_told_with_its_help() {
    let (client, served) = answering(
        "HTTP/1.1 422 Unprocessable Content\r\nconnection: close\r\n\r\n{\"error\":\"no\",\"help\":\"so\",\"problems\":[{\"message\":\"m\",\"help\":null,\"at\":\"faults[0]\"}]}",
        false,
    )
    .await;
    let client = client.with_token("secret").unwrap();
    let body = serde_json::json!({"a": 1});
    let asked = client.post::<Value>("/halt", Some(&body));
    let (answer, request) = tokio::join!(asked, served);
    assert!(
        request.starts_with("POST /halt HTTP/1.1\r\nhost: 127.0.0.1:"),
        "{request}"
    );
    assert!(
        request.contains("authorization: Bearer secret\r\n"),
        "{request}"
    );
    let ClientError::Refused(refused) = answer.unwrap_err() else {
        panic!("it says no");
    };
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.help.as_deref(), Some("so"));
    assert_eq!(refused.problems[0].at.as_deref(), Some("faults[0]"));
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn what_is_no_admin_api_is_said_to_be_none() {
    for bytes in [
        "-ERR unknown command 'GET'\r\n",
        "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>",
    ] {
        let (client, served) = answering(bytes, false).await;
        let (answer, _) = tokio::join!(client.get::<Value>("/status"), served);
        assert!(
            matches!(answer, Err(ClientError::Foreign { .. })),
            "{bytes}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_silent_is_given_up() {
    let (client, served) = answering("HTTP/1.1 200 OK\r\n", true).await;
    let asked = async {
        let answer = client.get::<Value>("/status").await;
        assert!(
            matches!(answer, Err(ClientError::Silent { .. })),
            "{answer:?}"
        );
    };
    tokio::join!(asked, served);
}

#[tokio::test]
async fn events_come_as_they_are_sent_and_end_with_the_stream() {
    let (client, served) = answering(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nevent: decision\ndata: 1\n\ndata: 2\n\n",
        false,
    )
    .await;
    let asked = async {
        let mut events = client.events("/decisions").await.unwrap();
        let mut data = Vec::new();
        while let Some(event) = events.next().await.unwrap() {
            data.push(event.data);
        }
        data
    };
    let (data, _) = tokio::join!(asked, served);
    assert_eq!(data, ["1", "2"]);
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(
        address.to_string().parse().unwrap(),
        Duration::from_secs(20),
    );
    let error = client.get::<Value>("/status").await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("nothing answers at {address}")),
        "{error}"
    );
}

#[test]
fn names_are_escaped() {
    assert_eq!(escaped("a/b c").to_string(), "a%2Fb%20c");
}
