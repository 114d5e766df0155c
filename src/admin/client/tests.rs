use std::sync::{Arc, Mutex};

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
    let client = client.with_token("secret", "a file").unwrap();
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

/// Answers every request: 401 to a token other than `right`, and to none where one is `needed`.
/// Tells the tokens that were shown, in order.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no worker here: it ends with the test"
)]
async fn keeper(right: &'static str, needed: bool) -> (Address, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().into();
    let shown: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&shown);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8(head[..read].to_vec()).unwrap();
            let token = head
                .split_once("Bearer ")
                .map_or("", |(_, rest)| rest.lines().next().unwrap_or_default());
            seen.lock().unwrap().push(token.to_owned());
            let fine = token == right || (token.is_empty() && !needed);
            let answer = if fine {
                "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}"
            } else {
                "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n{\"error\":\"the token is not a right one\",\"help\":null}"
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, shown)
}

#[tokio::test]
async fn a_found_token_that_is_stale_is_looked_for_again() {
    let (address, shown) = keeper("new", true).await;
    let found = Arc::new(Mutex::new("old"));
    let find = Arc::clone(&found);
    let client = Client::new(address, Duration::from_secs(20));
    let client =
        client.with_found_token(Arc::new(move || Some((*find.lock().unwrap()).to_owned())));
    // Another start of the sidecar has left another one.
    *found.lock().unwrap() = "new";
    for _ in 0..2 {
        client.get::<Value>("/status").await.unwrap();
    }
    assert_eq!(*shown.lock().unwrap(), ["old", "new", "new"]);
}

#[tokio::test]
async fn what_needs_no_token_is_had_without_a_stale_one() {
    let (address, shown) = keeper("right", false).await;
    let client = Client::new(address, Duration::from_secs(20));
    let client = client.with_found_token(Arc::new(|| Some("old".to_owned())));
    client.get::<Value>("/status").await.unwrap();
    client.post::<Value>("/halt", None).await.unwrap();
    assert_eq!(*shown.lock().unwrap(), ["old", "", ""]);
    // Not so what changes anything.
    let client = Client::new(client.address().clone(), Duration::from_secs(20));
    let client = client.with_found_token(Arc::new(|| Some("old".to_owned())));
    let refused = client.post::<Value>("/resume", None).await.unwrap_err();
    assert_eq!(refused.status(), Some(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn a_named_token_that_is_wrong_is_said_to_be_and_halts_all_the_same() {
    let (address, shown) = keeper("right", false).await;
    let client = Client::new(address, Duration::from_secs(20));
    let client = client.with_token("wrong", "ops.token").unwrap();
    let refused = client.get::<Value>("/status").await.unwrap_err();
    let told = "the token in ops.token is not a right one";
    assert_eq!(refused.to_string(), told);
    assert_eq!(client.left_token_out(), None);
    client.post::<Value>("/halt", None).await.unwrap();
    assert_eq!(client.left_token_out(), Some("ops.token"));
    assert_eq!(*shown.lock().unwrap(), ["wrong", "wrong", ""]);
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
