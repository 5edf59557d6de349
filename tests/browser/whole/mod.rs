//! What `make browser-test` runs besides the path of every run.

mod flood;
mod foreign;
mod framed;
mod hands;
mod live;
mod pages;
mod pictures;
mod reasons;
mod site;
mod stored;
