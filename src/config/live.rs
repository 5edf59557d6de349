//! Decides what of a configuration that was read again a running worker takes over.

use url::Url;

use super::amqp::Amqp;
use super::sections::Config;

impl Config {
    /// Returns this configuration with the settings of `read` that a running worker takes over: how much is written to the log,
    /// the limits of requests to an account, when what has failed is tried again, and the password of the broker's user.
    #[must_use]
    pub fn taking_over(&self, read: &Self) -> Self {
        let mut next = self.clone();
        next.log.level.clone_from(&read.log.level);
        next.requests.account_concurrency = read.requests.account_concurrency;
        next.requests.account_concurrency_per_worker = read.requests.account_concurrency_per_worker;
        next.retry = read.retry;
        if is_same_but_for_the_password(&self.amqp, &read.amqp) {
            next.amqp.url.clone_from(&read.amqp.url);
            next.amqp.written = read.amqp.written.clone();
        }
        next
    }
}

fn is_same_but_for_the_password(one: &Amqp, other: &Amqp) -> bool {
    let bare = |amqp: &Amqp| {
        let mut url = Url::parse(&amqp.url).ok()?;
        url.set_password(None).ok()?;
        Some(url)
    };
    bare(one).is_some_and(|url| bare(other) == Some(url))
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Sources, load};

    fn with(environment: &[(&str, &str)]) -> Config {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load(&Sources { environment, ..Sources::default() }).unwrap()
    }

    #[test]
    fn a_running_worker_takes_over_what_is_safe_to_change_and_nothing_else() {
        let running = with(&[("AMQP_URL", "amqp://u:a@h"), ("COURIER_REQUESTS__ACCOUNT_CONCURRENCY", "3")]);
        let read = with(&[
            ("AMQP_URL", "amqp://u:b@h"),
            ("COURIER_LOG__LEVEL", "debug"),
            ("COURIER_REQUESTS__MAX_CASES", "7"),
            ("COURIER_RETRY__BACKOFF_MAX", "11s"),
            ("DATABASE_URL", "sqlite:other.db"),
        ]);
        let next = running.taking_over(&read);
        assert_eq!((next.amqp.url.as_str(), next.log.level.as_str()), ("amqp://u:b@h", "debug"));
        assert_eq!((next.requests.account_concurrency, next.requests.max_cases), (16, 100));
        assert_eq!((next.retry.backoff_max.as_secs(), next.store.url.as_str()), (11, "sqlite:testmo-courier.db"));
        for other in ["amqp://v:b@h", "amqp://u:b@elsewhere", "amqps://u:b@h", "amqp://u:b@h/other"] {
            assert_eq!(running.taking_over(&with(&[("AMQP_URL", other)])).amqp.url, "amqp://u:a@h", "{other}");
        }
    }
}
