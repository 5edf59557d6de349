//! Answers requests from the stand-in's model of Testmo; a request continues even if its sender is gone.

mod changes;
mod claims;
mod course;
mod misread;
mod permits;
mod pushing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use testmo_courier::batch::verdict::answer::ApiError;
use testmo_courier::clock::Clock;
use testmo_courier::config;
use testmo_courier::testmo::{self, Access, Answer, Call, Transport};
use testmo_sim::faults::Delivery;
use testmo_sim::world::World;
use testmo_sim::{Method, Request, Response, Time};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

pub(crate) use self::changes::SentChange;
use self::changes::{Changes, Shown};
use self::course::{Course, End, Purpose};
use self::misread::misread;
use self::pushing::Pushing;
use crate::diary::{Diary, clock_of, lock};
use crate::fuse::Fuse;
use crate::mutation::Mutation;
use crate::people::FIRST_PERSON;
use crate::store::MemoryStore;
use crate::weather::Weather;

/// Every Testmo account of a run.
#[derive(Debug)]
pub(crate) struct Testmo {
    world: Mutex<World>,
    phases: Mutex<Phases>,
    config: config::Testmo,
    store: Arc<MemoryStore>,
    mutation: Option<Mutation>,
    diary: Arc<Diary>,
    weather: Arc<Weather>,
    under_way: TaskTracker,
    /// The number of case create requests in flight, by account.
    pushing: Mutex<BTreeMap<String, u32>>,
    /// The upper bound for these requests.
    account_limit: u32,
    /// Cases that were created after the settle time of their request, by account and id.
    late: Mutex<BTreeSet<(String, u64)>>,
    /// What workers have read of cases, and what they have changed.
    changes: Mutex<Changes>,
    /// Requests that should not have been sent.
    broken: Mutex<Vec<String>>,
}

/// Faults of whole accounts that last until they are taken back.
#[derive(Debug, Default)]
struct Phases {
    /// Accounts that answer each request with a status.
    answering: Vec<(String, u16)>,
    /// Accounts that cannot be reached.
    unreachable: BTreeSet<String>,
    /// Accounts that answer no request.
    hanging: BTreeSet<String>,
}

/// A worker's transport to Testmo.
pub(crate) struct TestmoOf {
    testmo: Arc<Testmo>,
    worker: u64,
    fuse: Fuse,
}

/// A request as it leaves a worker.
struct Sent {
    account: String,
    request: Request,
    course: Course,
    /// What the answer shows, once it is written.
    shown: Arc<Mutex<Option<Shown>>>,
}

impl Testmo {
    pub(crate) fn new(
        world: World,
        config: config::Testmo,
        account_limit: u32,
        store: Arc<MemoryStore>,
        mutation: Option<Mutation>,
        diary: Arc<Diary>,
        weather: Arc<Weather>,
    ) -> Arc<Self> {
        let (world, under_way) = (Mutex::new(world), TaskTracker::new());
        let (phases, pushing) = (Mutex::default(), Mutex::default());
        Arc::new(Self {
            world,
            phases,
            config,
            store,
            mutation,
            diary,
            weather,
            under_way,
            pushing,
            account_limit,
            late: Mutex::default(),
            changes: Mutex::default(),
            broken: Mutex::default(),
        })
    }

    /// Returns the transport of a worker with this number and fuse.
    pub(crate) fn of(self: &Arc<Self>, worker: u64, fuse: Fuse) -> TestmoOf {
        TestmoOf { testmo: self.clone(), worker, fuse }
    }

    /// Reads or changes the accounts, as people do inside Testmo.
    pub(crate) fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut lock(&self.world))
    }

    /// Returns the time of an account's clock, in milliseconds since 1970.
    fn time_of(&self, account: &str) -> i64 {
        let skew = self.world(|world| world.station(account).map_or(0, |s| s.account.settings.clock_skew_ms));
        self.diary.true_time() + skew
    }

    /// Makes an account answer each request with a status, until `None` ends this.
    pub(crate) fn answer_all(&self, account: &str, status: Option<u16>) {
        let answering = &mut lock(&self.phases).answering;
        answering.retain(|(of, _)| of != account);
        answering.extend(status.map(|status| (account.to_owned(), status)));
    }

    /// Makes an account reachable, or unreachable.
    pub(crate) fn set_reachable(&self, account: &str, reachable: bool) {
        let unreachable = &mut lock(&self.phases).unreachable;
        if reachable {
            unreachable.remove(account)
        } else {
            unreachable.insert(account.to_owned())
        };
    }

    /// Makes an account answer no request, or answer again.
    pub(crate) fn set_hanging(&self, account: &str, hangs: bool) {
        let hanging = &mut lock(&self.phases).hanging;
        if hangs {
            hanging.insert(account.to_owned())
        } else {
            hanging.remove(account)
        };
    }

    /// Waits until no request is in flight.
    pub(crate) async fn quiet(&self) {
        self.under_way.close();
        self.under_way.wait().await;
        self.under_way.reopen();
    }

    /// Returns the cases that were created after the settle time of their request, by account and id.
    pub(crate) fn late(&self) -> BTreeSet<(String, u64)> {
        lock(&self.late).clone()
    }

    /// Returns the requests that should not have been sent.
    pub(crate) fn broken(&self) -> Vec<String> {
        lock(&self.broken).clone()
    }

    fn time(&self) -> Time {
        Time(self.diary.true_time())
    }

    /// Returns the status with which the account answers each request at present.
    fn phase(&self, account: &str) -> Option<u16> {
        let phases = lock(&self.phases);
        phases.answering.iter().find(|(of, _)| of == account).map(|(_, status)| *status)
    }

    /// Carries out a request in the model, and returns the answer.
    fn commit(&self, account: &str, request: &Request) -> Option<Response> {
        let now = self.time();
        let mut world = lock(&self.world);
        let station = world.station_mut(account)?;
        let ticket = station.begin(request, now);
        let honest = station.commit(request, &ticket, now);
        let delivery = ticket.course.deliver(honest);
        station.finish(&ticket, &delivery, now);
        match delivery {
            Delivery::Whole(response) | Delivery::Half(response) => Some(response),
            Delivery::Nothing => None,
        }
    }
}

impl std::fmt::Debug for TestmoOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TestmoOf({})", self.worker)
    }
}

/// Returns the account of an origin: the first label of its host.
pub(crate) fn host_of(origin: &str) -> &str {
    let host = origin.strip_prefix("https://").unwrap_or(origin);
    host.split('.').next().unwrap_or(host)
}

#[async_trait]
impl Transport for TestmoOf {
    async fn exchange(&self, access: &Access, call: Call<'_>) -> Result<Answer, ApiError> {
        let account = host_of(access.origin.as_str()).to_owned();
        let (method, purpose) = match call.method {
            testmo::Method::Get => (Method::Get, Purpose::Reads),
            testmo::Method::Post => (Method::Post, Purpose::Creates),
            testmo::Method::Patch => (Method::Patch, Purpose::Changes),
            testmo::Method::Delete => (Method::Delete, Purpose::Changes),
        };
        // The worker assumes that its process is never frozen for longer than the margin just before it writes.
        let longest = call.body.is_some().then_some(self.testmo.config.claim_margin);
        self.fuse.cross_within(longest).await;
        let body = call.body.unwrap_or_default();
        let token = Some(access.key.expose_secret().to_owned());
        let target = format!("/api/v1{}", call.path);
        let request = Request::read(method, &target, token, Some("application/json"), body.as_bytes());
        let is_push = purpose == Purpose::Creates && call.path.ends_with("/cases") && self.worker < FIRST_PERSON;
        let pushing = if is_push {
            self.testmo.check_claim(self.worker, &account, &request);
            Some(Pushing::begin(self.testmo.clone(), &account))
        } else {
            self.testmo.check_permit(self.worker, &account, &request);
            None
        };
        self.testmo.note_change(self.worker, &account, &request);
        let course = Course::draw(&self.testmo.weather, &self.testmo.config, purpose);
        let looks = purpose == Purpose::Reads && call.path.contains("/cases?");
        let shown = Arc::default();
        let sent = Sent { account: account.clone(), request, course, shown: Arc::clone(&shown) };
        let end = self.fuse.hold(self.send(sent)).await;
        // A process that ends before it has read the answer waits for nothing any more.
        drop(pushing);
        self.fuse.cross().await;
        let answer = end?;
        if let Some(shown) = lock(&shown).take().filter(|_| answer.status == 200) {
            self.testmo.note_read(self.worker, &account, shown);
        }
        match self.testmo.mutation.filter(|_| looks && answer.status == 200) {
            Some(mutation) => Ok(misread(answer, mutation, self.testmo.time_of(host_of(access.origin.as_str())))),
            None => Ok(answer),
        }
    }
}

impl TestmoOf {
    async fn send(&self, sent: Sent) -> Result<Answer, ApiError> {
        let testmo = &self.testmo;
        let request =
            format!("w{} {} {} {:?}", self.worker, sent.request.method.name(), sent.account, told_of(&sent.request));
        let course = sent.course;
        if lock(&testmo.phases).unreachable.contains(&sent.account) {
            sleep(testmo.weather.ms(1..500)).await;
            return Err(ApiError::Unreachable("nobody listens".into()));
        }
        testmo.diary.note(|| format!("{request}: {course:?}"));
        if lock(&testmo.phases).hanging.contains(&sent.account) {
            sleep(testmo.config.request_timeout).await;
            return Err(ApiError::TimedOut);
        }
        match course.end {
            End::NoHost => return Err(ApiError::UnknownHost),
            End::NoConnection => {
                sleep(course.ends).await;
                return Err(ApiError::Unreachable("refused".into()));
            }
            End::Answer | End::Short | End::Garbled | End::Status { .. } | End::Cut => {}
        }
        let end = timeout(testmo.config.request_timeout, self.walk(sent)).await;
        let end = end.unwrap_or(Err(ApiError::TimedOut));
        testmo.diary.note(|| match &end {
            Ok(answer) => format!("{request} ended with {}", answer.status),
            Err(trouble) => format!("{request} ended: {trouble}"),
        });
        end
    }

    /// Carries out the request at its time, even if no worker waits for its end any more.
    async fn walk(&self, sent: Sent) -> Result<Answer, ApiError> {
        let Sent { account, request, course, shown } = sent;
        let phase = self.testmo.phase(&account);
        let (answer_to, answered) = oneshot::channel();
        if let Some(at) = course.commits.filter(|_| phase.is_none()) {
            let testmo = self.testmo.clone();
            self.testmo.under_way.spawn(async move {
                sleep(at).await;
                let answer = testmo.commit(&account, &request);
                *lock(&shown) = Shown::of(&request, answer.as_ref(), testmo.diary.true_time());
                if let Some(answer) = answer.as_ref().filter(|answer| !answer.created.is_empty()) {
                    testmo.diary.note(|| format!("{account} created {:?}", answer.created));
                    if course.is_late(&testmo.config) && !request.case_names().is_empty() {
                        lock(&testmo.late).extend(answer.created.iter().map(|id| (account.clone(), *id)));
                    }
                }
                // The sender may no longer wait.
                drop(answer_to.send(answer));
            });
        } else {
            drop(answer_to);
        }
        sleep(course.ends).await;
        let status = match (phase, course.end) {
            (Some(status), _) => Some((status, None)),
            (None, End::Status { status, retry_after }) => Some((status, retry_after)),
            (None, End::Cut) => return Err(ApiError::Broken("cut".into())),
            (None, _) => None,
        };
        if let Some((status, retry_after)) = status {
            let answer = Response::message(status, "so it is");
            let seconds = retry_after.map(|seconds| ("retry-after", seconds.to_string()));
            let answer = seconds.map_or(answer.clone(), |(name, value)| answer.with_header(name, value));
            return Ok(self.answer(answer.dated(self.testmo.time()), End::Answer));
        }
        let Ok(Some(answer)) = answered.await else { return std::future::pending().await };
        Ok(self.answer(answer, course.end))
    }

    fn answer(&self, response: Response, end: End) -> Answer {
        let header = |(name, value): &(&'static str, String)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        };
        let headers: HeaderMap = response.headers.iter().filter_map(header).collect();
        let has_rows = matches!(response.status, 200 | 201);
        let body = match end {
            End::Garbled => br#"{"result":[{"id":"#.to_vec(),
            End::Short if has_rows => without_last(&response),
            End::Short | End::Answer | End::Status { .. } | End::Cut | End::NoConnection | End::NoHost => {
                response.body.to_vec()
            }
        };
        let clock: Clock = clock_of(&self.testmo.diary);
        Answer { status: response.status, headers, body, at: clock.now() }
    }
}

fn without_last(response: &Response) -> Vec<u8> {
    let mut value = response.value();
    if let Some(rows) = value["result"].as_array_mut() {
        rows.pop();
    }
    value.to_string().into_bytes()
}

fn told_of(request: &Request) -> String {
    let names = request.case_names();
    if names.is_empty() { request.target().to_owned() } else { names.join(", ") }
}
