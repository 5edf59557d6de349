//! A person at a browser, who sees words and uses a mouse or a keyboard.

use std::time::Duration;

use fantoccini::Locator;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use tokio::time::{Instant, timeout};

use crate::driver::Chromium;

/// The longest wait for a page to say something.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most steps from one end of a page to the other by the tabulator.
const MOST_STEPS: usize = 400;

/// After how many glances at a page without scripts the person reloads it.
const RELOADED: usize = 20;

/// What has the focus, as the person knows it: by its own name or by its label.
const FOCUSED: &str = "(() => { \
    const element = document.activeElement; \
    if (!element || element === document.body) return ''; \
    const label = element.labels && element.labels.length ? element.labels[0].textContent : element.textContent; \
    return (element.getAttribute('aria-label') || label).trim().replace(/\\s+/g, ' '); })()";

/// With what somebody works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hands {
    /// Presses and chooses with the mouse.
    Mouse,
    /// Moves with the tabulator, and presses Enter.
    Keyboard,
}

/// A person.
pub(crate) struct Person {
    pub(crate) browser: Chromium,
    hands: Hands,
    /// Whether pages run scripts; without them, the person reloads a page to see what is new.
    has_scripts: bool,
    /// The origin of the console.
    origin: String,
}

impl Person {
    /// Sits down at a new browser.
    pub(crate) async fn new(origin: &str, hands: Hands) -> Self {
        Self { browser: Chromium::start().await, hands, has_scripts: true, origin: origin.to_owned() }
    }

    /// Sits down at a new browser that runs no script of a page.
    pub(crate) async fn without_scripts(origin: &str) -> Self {
        let browser = Chromium::start().await.without_scripts().await;
        Self { browser, hands: Hands::Mouse, has_scripts: false, origin: origin.to_owned() }
    }

    /// Takes another person's way of working to a browser of their own.
    pub(crate) async fn another(&self) -> Self {
        match self.has_scripts {
            true => Self::new(&self.origin, self.hands).await,
            false => Self::without_scripts(&self.origin).await,
        }
    }

    /// Opens a page of the console.
    pub(crate) async fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.origin)).await;
    }

    /// Returns the words on the page; none while another page is loaded.
    pub(crate) async fn words(&self) -> String {
        let words = self.browser.client.execute("return document.body.innerText;", vec![]).await;
        words.ok().and_then(|words| words.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Waits until the page says something.
    pub(crate) async fn sees(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        for tries in 1.. {
            let words = self.words().await;
            if words.contains(text) {
                return;
            }
            assert!(Instant::now() < end, "the page does not say {text:?}: {words}");
            if !self.has_scripts && tries % RELOADED == 0 {
                // Another page may be loaded just now.
                drop(self.browser.client.refresh().await);
            }
        }
    }

    /// Presses a button, or follows a link, that is called so.
    pub(crate) async fn press(&self, name: &str) {
        match self.hands {
            Hands::Mouse => {
                let path = format!(
                    "//*[self::a or self::button or self::summary][normalize-space(.)=\"{name}\" or @aria-label=\"{name}\"]"
                );
                self.with(&path, async |element: Element| element.click().await).await;
            }
            Hands::Keyboard => {
                self.walk_to(name).await;
                self.strike(&[Key::Enter.into()]).await;
            }
        }
    }

    /// Writes something into the field with this label, in place of what it has.
    pub(crate) async fn fill(&self, label: &str, text: &str) {
        match self.hands {
            Hands::Mouse => {
                let path = format!("//*[@id = //label[normalize-space(.)=\"{label}\"]/@for]");
                let write = async |element: Element| {
                    element.clear().await?;
                    element.send_keys(text).await
                };
                self.with(&path, write).await;
            }
            Hands::Keyboard => {
                self.walk_to(label).await;
                self.strike(&[Key::Control.into(), 'a']).await;
                let element = self.browser.client.active_element().await.expect("what has the focus");
                element.send_keys(text).await.expect("a field");
            }
        }
    }

    /// Does something with the first element of a path; where the page is exchanged meanwhile, the element is searched again.
    async fn with(&self, path: &str, act: impl AsyncFn(Element) -> Result<(), CmdError>) {
        let done = async {
            loop {
                let Ok(element) = self.browser.client.find(Locator::XPath(path)).await else { continue };
                if act(element).await.is_ok() {
                    return;
                }
            }
        };
        if timeout(PATIENCE, done).await.is_err() {
            panic!("there is no {path}: {}", self.words().await);
        }
    }

    /// Moves the focus, from where it is, to what is called so.
    async fn walk_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..MOST_STEPS {
            let focused = self.browser.value(FOCUSED).await.as_str().unwrap_or_default().to_owned();
            if focused == name {
                return;
            }
            passed.push(focused);
            self.strike(&[Key::Tab.into()]).await;
        }
        panic!("the keyboard does not reach {name:?}, only {passed:?}");
    }

    /// Strikes keys together.
    async fn strike(&self, keys: &[char]) {
        let down = keys.iter().map(|value| KeyAction::Down { value: *value });
        let up = keys.iter().rev().map(|value| KeyAction::Up { value: *value });
        let actions = down.chain(up).fold(KeyActions::new("keyboard".into()), InputSource::then);
        self.browser.client.perform_actions(actions).await.expect("keys");
    }
}
