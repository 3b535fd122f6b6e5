//! Every way in which a source knows who asks, against a server that looks at it.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::{
    GOOD, PATIENT, Patience, QUOTED, TOKEN, WINDOW, pairs, prometheus, query, spec, wavefront,
};
use crate::gate::series::{Answer, Query};
use crate::gate::source::{Auth, Error, Grant, GrantKind, Kind, Signer, Spec, connect_with};
use crate::job::standin::{Act, Standin};
use crate::secret::Secret;

async fn asked(spec: &Spec, kind: Kind) -> Result<Answer, Error> {
    let query =
        Query { text: query(kind).to_owned(), window: WINDOW, step: Duration::from_secs(10) };
    connect_with(spec, PATIENT).unwrap().query(&query).await
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

#[tokio::test]
async fn every_credential_is_sent_as_its_source_wants_it() {
    let body = prometheus(&pairs(&QUOTED, 1, 0));
    let signer = Signer {
        region: "eu-central-1".to_owned(),
        service: "aps".to_owned(),
        access_key: "AKID".to_owned(),
        secret_key: secret(TOKEN),
        session: Some(secret("session-token")),
    };
    for (auth, expected) in [
        (Auth::bearer(secret(TOKEN)), format!("authorization: Bearer {TOKEN}")),
        (
            Auth::Basic("me".to_owned(), secret("pass word")),
            "authorization: Basic bWU6cGFzcyB3b3Jk".to_owned(),
        ),
        (Auth::Signed(signer), "SignedHeaders=host;x-amz-date;x-amz-security-token".to_owned()),
    ] {
        let standin = Standin::start([Act::json("200 OK", &body)]).await;
        let mut spec = Spec { auth, ..spec(Kind::Prometheus, &standin.url) };
        spec.headers.insert("X-Scope-OrgID".to_owned(), secret("shop"));
        asked(&spec, Kind::Prometheus).await.unwrap();
        let request = &standin.requests()[0];
        assert!(request.contains(&expected), "{request}");
        assert!(request.contains("x-scope-orgid: shop"), "{request}");
    }
}

#[tokio::test]
async fn a_single_token_goes_into_the_header_of_its_kind() {
    for (kind, header) in [
        (Kind::Wavefront, "authorization: Bearer "),
        (Kind::Influx2, "authorization: Token "),
        (Kind::Dynatrace, "authorization: Api-Token "),
        (Kind::NewRelic, "api-key: "),
    ] {
        let body = super::good(kind);
        let standin = Standin::start([Act::json("200 OK", &body)]).await;
        asked(&spec(kind, &standin.url), kind).await.unwrap();
        let request = &standin.requests()[0];
        assert!(request.contains(&format!("{header}{TOKEN}")), "{kind}: {request}");
    }
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_is_refused() {
    let granted = |token: &str| {
        Act::json("200 OK", &format!(r#"{{"access_token":"{token}","expires_in":3600}}"#))
    };
    let tokens = Standin::start([granted("first"), granted("second")]).await;
    let good = Act::json("200 OK", &wavefront(&pairs(&GOOD, 1, 0)));
    let standin = Standin::start([Act::json("401 Unauthorized", "{}"), good]).await;
    for asks in [
        GrantKind::ApiToken(secret("api-token")),
        GrantKind::Client {
            id: "app".to_owned(),
            secret: secret("app-secret"),
            scope: Some("metrics".to_owned()),
        },
    ] {
        let grant = Grant { url: format!("{}/token", tokens.url), asks };
        let spec = Spec { auth: Auth::Grant(grant), ..spec(Kind::Wavefront, &standin.url) };
        asked(&spec, Kind::Wavefront).await.unwrap();
    }
    let of_tokens = tokens.requests();
    assert!(of_tokens[0].ends_with("api_token=api-token"), "{}", of_tokens[0]);
    assert!(of_tokens[1].ends_with("api_token=api-token"), "{}", of_tokens[1]);
    assert!(of_tokens[2].contains("authorization: Basic YXBwOmFwcC1zZWNyZXQ="));
    assert!(of_tokens[2].ends_with("grant_type=client_credentials&scope=metrics"));
    let requests = standin.requests();
    assert!(requests[0].contains("authorization: Bearer first"), "{}", requests[0]);
    assert!(requests[1].contains("authorization: Bearer second"), "{}", requests[1]);
}

#[tokio::test]
async fn a_token_that_is_not_given_is_an_error_without_the_secret() {
    for act in [
        Act::json("400 Bad Request", r#"{"error":"invalid_client","client_secret":"app-secret"}"#),
        Act::json("200 OK", "{}"),
        Act::json("200 OK", "<html>"),
        Act::json("200 OK", r#"{"access_token":" ","expires_in":3600}"#),
        Act::json("200 OK", r#"{"access_token":"a\r\nb","expires_in":3600}"#),
        Act::Send(Vec::new()),
    ] {
        let tokens = Standin::start([act]).await;
        let asks = GrantKind::ApiToken(secret("app-secret"));
        let grant = Grant { url: tokens.url.clone(), asks };
        let spec = Spec { auth: Auth::Grant(grant), ..spec(Kind::Wavefront, "http://127.0.0.1:9") };
        let error = asked(&spec, Kind::Wavefront).await.unwrap_err();
        assert!(error.is_platforms_fault());
        assert!(!format!("{error} {error:?}").contains("app-secret"), "{error:?}");
    }
}

#[tokio::test]
async fn whatever_a_server_says_of_a_tokens_end_the_token_is_used() {
    let good = wavefront(&pairs(&GOOD, 1, 0));
    for told in ["18446744073709551615", "-5", "1e300", "\"3599\"", "\"soon\"", "null", "[]"] {
        let body = format!(r#"{{"access_token":"token","expires_in":{told}}}"#);
        let tokens = Standin::start([Act::json("200 OK", &body)]).await;
        let standin = Standin::start([Act::json("200 OK", &good)]).await;
        let grant =
            Grant { url: tokens.url.clone(), asks: GrantKind::ApiToken(secret("app-secret")) };
        let spec = Spec { auth: Auth::Grant(grant), ..spec(Kind::Wavefront, &standin.url) };
        let answer = asked(&spec, Kind::Wavefront).await;
        assert!(answer.is_ok(), "{told}: {answer:?}");
    }
}

#[tokio::test]
async fn many_slow_pages_are_as_late_as_a_slow_one() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::time::sleep(Duration::from_millis(150)).await;
            let body = r#"{"nextPageKey":"more","result":[]}"#;
            let text = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(text.as_bytes()).await.ok();
        }
    };
    let patience = Patience { in_all: Duration::from_secs(2), ..PATIENT };
    let source = connect_with(&spec(Kind::Dynatrace, &url), patience).unwrap();
    let query = Query { text: "m".to_owned(), window: WINDOW, step: Duration::from_secs(10) };
    // Forty of them would be there after 6 s.
    let error = tokio::select! {
        answer = source.query(&query) => answer.unwrap_err(),
        () = server => unreachable!("it serves for ever"),
    };
    assert!(error.to_string().contains("cannot reach"), "{error}");
}

#[tokio::test]
async fn pages_are_read_to_the_end_and_no_further() {
    let page = |next: &str, at: i64| {
        format!(
            r#"{{"nextPageKey":{next},"result":[{{"metricId":"m","data":[{{"dimensionMap":{{"h":"a"}},"timestamps":[{at}],"values":[1]}}]}}]}}"#
        )
    };
    let (first, second) = (WINDOW.start_ms + 60_000, WINDOW.start_ms + 120_000);
    let acts =
        [page("\"two\"", first), page("null", second)].map(|body| Act::json("200 OK", &body));
    let standin = Standin::start(acts).await;
    let answer = asked(&spec(Kind::Dynatrace, &standin.url), Kind::Dynatrace).await.unwrap();
    assert_eq!(answer.series.len(), 1, "{answer:?}");
    assert!(standin.requests()[1].contains("nextPageKey=two"));
    let endless = Standin::start([Act::json("200 OK", &page("\"more\"", first))]).await;
    let error = asked(&spec(Kind::Dynatrace, &endless.url), Kind::Dynatrace).await.unwrap_err();
    assert!(error.to_string().contains("more than 40 pages"), "{error}");
}

#[tokio::test]
async fn a_query_that_says_no_time_or_its_own_is_refused() {
    for (kind, text, part) in [
        (Kind::Influx1, "SELECT mean(v) FROM cpu", "WHERE {{ window }}"),
        (Kind::Influx1, "DROP DATABASE db; SELECT 1 WHERE {{ window }}", "without `;`"),
        (Kind::Influx1, "DELETE FROM cpu WHERE {{ window }}", "start with SELECT"),
        (Kind::Influx1, "SELECT v INTO x FROM cpu WHERE {{ window }}", "writes"),
        (Kind::Influx2, "from(bucket: \"b\")", "v.timeRangeStart"),
        (Kind::Influx2, "x(start: v.timeRangeStart) |> to(bucket: \"b\")", "writes"),
        (Kind::NewRelic, "SELECT count(*) FROM T SINCE 1 hour ago", "`SINCE` is the gate's"),
        (Kind::Json, "data", "what time it is about"),
        (Kind::Json, "../admin?{{ window }}", "below the source's URL"),
        (Kind::Json, "http://elsewhere/?{{ window }}", "below the source's URL"),
        (Kind::Json, "data?{{ window }}&s={{ stp }}", "is none of"),
        (Kind::CloudWatch, "[{]", "no list of MetricDataQueries"),
    ] {
        let query = Query { text: text.to_owned(), window: WINDOW, step: Duration::from_secs(10) };
        let source = connect_with(&spec(kind, "http://127.0.0.1:9"), PATIENT).unwrap();
        let error = source.query(&query).await.unwrap_err();
        assert!(error.to_string().contains(part), "{kind} {text}: {error}");
        assert!(!error.is_platforms_fault(), "{kind} {text}");
    }
}
