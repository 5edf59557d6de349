//! Compares the limits of the broker with the settings: the largest message, and how long a message may be held.

use std::time::Duration;

use super::finding::{Check, Finding};
use super::outcome::{Outcome, limited};
use crate::amqp::{self, SizeAccepted};
use crate::config::Config;

/// How long RabbitMQ lets a consumer hold a message, unless `consumer_timeout` is set; AMQP does not show the setting.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Examines the limits. A message of the largest size is sent to no queue, so that nothing is left of it.
pub(super) async fn examine(config: &Config) -> Outcome {
    let amqp = &config.amqp;
    let trying = async {
        let size = match amqp::connect_once(amqp, "doctor").await {
            Ok(link) => {
                let size = amqp::accepts(&link, amqp.max_message_bytes).await.map_err(|error| error.to_string());
                link.close().await;
                size
            }
            Err(error) => Err(error.to_string()),
        };
        match size {
            Ok(size) => {
                let of_time = of_time(longest_hold(config));
                Outcome::done(
                    Check::Limits,
                    of_size(&size, amqp.max_message_bytes).into_iter().chain(of_time).collect(),
                )
            }
            Err(why) => Outcome::failed(Check::Limits, why),
        }
    };
    limited(Check::Limits, amqp.connect_timeout + amqp.rpc_timeout, trying).await
}

fn of_size(size: &SizeAccepted, bytes: usize) -> Option<Finding> {
    match size {
        SizeAccepted::Yes => None,
        SizeAccepted::No(said) => {
            let sentence =
                format!("The broker refuses messages of {bytes} bytes, which amqp.max_message_bytes allows ({said}).");
            let remedy = "Raise max_message_size in rabbitmq.conf above amqp.max_message_bytes, or lower amqp.max_message_bytes.";
            Some(
                Finding::warning(Check::Limits, sentence, remedy)
                    .with("rabbitmqctl environment | grep max_message_size"),
            )
        }
        SizeAccepted::Unknown(said) => {
            let sentence = format!("The largest message that the broker accepts is not known ({said}).");
            let remedy = "Compare max_message_size on the broker with amqp.max_message_bytes.";
            Some(Finding::note(Check::Limits, sentence, remedy).with("rabbitmqctl environment | grep max_message_size"))
        }
    }
}

/// Returns the longest time for which the worker holds a message, by its settings: it waits in a lane, and each try of a
/// request takes all its time.
fn longest_hold(config: &Config) -> Duration {
    let tries = config.testmo.lease() + config.retry.backoff_max;
    config.worker.max_queue_time + tries * config.retry.max_attempts
}

fn of_time(hold: Duration) -> Option<Finding> {
    (hold >= CONSUMER_TIMEOUT).then(|| {
        let (hold, timeout) = (hold.as_secs() / 60, CONSUMER_TIMEOUT.as_secs() / 60);
        let sentence = format!(
            "The worker may hold a message for {hold} min; RabbitMQ takes it back after {timeout} min unless \
             consumer_timeout is set."
        );
        let remedy = "Lower worker.max_queue_time, retry.max_attempts or the time limits of testmo. If consumer_timeout in \
                      rabbitmq.conf is set higher, which AMQP does not show, nothing has to be done.";
        Finding::note(Check::Limits, sentence, remedy).with("rabbitmqctl environment | grep consumer_timeout")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn a_size_that_is_refused_is_a_warning_and_one_that_cannot_be_tried_a_note() {
        assert_eq!(of_size(&SizeAccepted::Yes, 1), None);
        let severity = |size| of_size(&size, 1).unwrap().severity.name();
        assert_eq!(severity(SizeAccepted::No("406".into())), "warning");
        assert_eq!(severity(SizeAccepted::Unknown("403".into())), "note");
    }

    #[test]
    fn by_default_no_message_is_held_longer_than_the_broker_allows() {
        let held = longest_hold(&load(&Sources::default()).unwrap());
        assert!(of_time(held).is_none(), "{held:?}");
        assert!(of_time(CONSUMER_TIMEOUT).is_some());
    }
}
