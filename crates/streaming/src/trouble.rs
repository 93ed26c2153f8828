//! Why the brokers would not have us.
//!
//! A call that fails because of TLS or the login is told only that nobody answered in time; the reason comes by
//! another way, as an event or a line of the client's log. It is kept here, so that the error can say it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::Error;

/// The client repeats what it has said before after half a minute.
const HEARD_MAX: Duration = Duration::from_secs(40);

/// What all clients of one configuration heard last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<(Instant, String)>>>);

impl Trouble {
    /// Takes an event, or a line of the log, if it tells why the way is shut.
    pub(crate) fn note(&self, text: &str) {
        if let Some(advice) = advice(text) {
            let heard = (Instant::now(), format!("{advice} ({text})"));
            // Valid after every statement, so a panic elsewhere does not spoil it.
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
        }
    }

    /// The same for a line of the log, which goes on to where logs go.
    pub(crate) fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.note(line);
        DefaultClientContext.log(level, facility, line);
    }

    fn latest(&self) -> Option<String> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.as_ref().filter(|(at, _)| at.elapsed() < HEARD_MAX).map(|(_, reason)| reason.clone())
    }

    /// For `map_err`: names what was being done, and the reason if one was heard.
    pub(crate) fn failed(&self, doing: &'static str) -> impl Fn(KafkaError) -> Error + use<> {
        let trouble = self.clone();
        move |source| {
            let error = Error::Kafka { doing, source };
            match trouble.latest() {
                Some(reason) if error.is_unreachable() => Error::Shut { doing, reason },
                _ => error,
            }
        }
    }
}

/// Whether `error` says no more than that the brokers could not be talked to.
pub(crate) fn is_unreachable(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| [AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve].contains(&code))
}

/// What to do about it, by the words of librdkafka.
fn advice(text: &str) -> Option<&'static str> {
    let has = |part: &str| text.contains(part);
    if has("certificate could not be verified") {
        return Some(
            "the certificate of the broker is not signed by anybody in `kafka.ca_file`, is out of date, or is for \
             another name than the one in `brokers`",
        );
    }
    if has("alert bad certificate") || has("alert certificate required") || has("alert unknown ca") {
        return Some("the broker wants a certificate of ours that it trusts: correct `kafka.certificate_file`");
    }
    if has("SASL") && (has("mechanism handshake failed") || has("Failed to initialize")) {
        return Some("the broker does not know this kind of login: correct `kafka.sasl_mechanism`");
    }
    if has("SASL authentication") {
        return Some("the broker refuses the login: correct `kafka.username` and `kafka.password`");
    }
    if has("PLAINTEXT broker listener") {
        return Some("the broker hung up on TLS: correct `kafka.security`, or the port in `brokers`");
    }
    // Few hang up on the greeting of a client that speaks the right protocol: what listens for a broker that is away.
    if has("Disconnected") && has("in state APIVERSION_QUERY") {
        return Some(
            "the broker hung up on the greeting: is it only starting, or does it want TLS or a login? Then correct \
             `kafka.security`",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events and lines as librdkafka 2.12.1 words them.
    const HEARD: [(&str, &str); 6] = [
        (
            "sasl_ssl://b:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
             failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured",
            "`kafka.ca_file`",
        ),
        (
            "sasl_ssl://b:9093/bootstrap: Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: \
             SSL alert number 42 (after 9ms in state APIVERSION_QUERY)",
            "`kafka.certificate_file`",
        ),
        (
            "sasl_ssl://b:9093/bootstrap: SASL authentication error: Authentication failed during authentication due \
             to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 329ms in state AUTH_REQ)",
            "`kafka.password`",
        ),
        (
            "sasl_ssl://b:9093/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: \
             broker's supported mechanisms: SCRAM-SHA-512",
            "`kafka.sasl_mechanism`",
        ),
        (
            "ssl://b:9092/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to \
             a PLAINTEXT broker listener? (after 4ms in state SSL_HANDSHAKE)",
            "`kafka.security`",
        ),
        (
            "[thrd:b:9093/bootstrap]: b:9093/bootstrap: Disconnected: connection closed by peer: receive 0 after \
             POLLIN (after 3ms in state APIVERSION_QUERY)",
            "`kafka.security`",
        ),
    ];

    #[test]
    fn what_the_client_says_becomes_advice_that_names_the_setting() {
        let unanswered = || KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
        for (text, setting) in HEARD {
            let trouble = Trouble::default();
            assert!(matches!(trouble.failed("look")(unanswered()), Error::Kafka { .. }), "nothing was heard yet");
            trouble.note(text);
            let error = trouble.failed("look")(unanswered()).to_string();
            assert!(error.contains(setting) && error.contains(text), "{error}");
            let other = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
            assert!(matches!(trouble.failed("look")(other), Error::Kafka { .. }), "it has a reason of its own");
        }
    }

    #[test]
    fn brokers_that_are_away_are_no_trouble_of_this_kind() {
        for text in [
            "b:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            "b:9092/1: Disconnected: connection closed by peer: receive 0 after POLLIN (after 50000ms in state UP)",
            "2/2 brokers are down",
        ] {
            assert_eq!(advice(text), None, "{text}");
        }
    }
}
