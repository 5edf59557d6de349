//! Sends an answer, whole or cut in the middle.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::faults::Delivery;
use crate::response::Response;

/// The order to cut a connection; hyper closes the socket on this error.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
pub(crate) struct Cut;

/// A body that is sent whole, or ends in a cut after half of the promised length.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    rest: Option<Bytes>,
    length: u64,
    end: End,
}

#[derive(Debug)]
enum End {
    Clean,
    /// Half was sent; the written bytes are flushed before the cut.
    Flush,
    Cut,
}

impl AnswerBody {
    /// Sends the whole answer.
    pub(crate) fn of_whole(response: Response) -> hyper::Response<Self> {
        let length = response.body.len() as u64;
        Self::with(response, |body| Self { rest: Some(body), length, end: End::Clean })
    }

    /// Returns the answer of a delivery, or the order to cut.
    pub(crate) fn of(delivery: Delivery) -> Result<hyper::Response<Self>, Cut> {
        match delivery {
            Delivery::Whole(response) => Ok(Self::of_whole(response)),
            Delivery::Half(response) => Ok(Self::of_half(response)),
            Delivery::Nothing => Err(Cut),
        }
    }

    fn of_half(response: Response) -> hyper::Response<Self> {
        let length = response.body.len() as u64;
        Self::with(response, |body| {
            let half = body.slice(..body.len() / 2);
            Self { rest: Some(half), length, end: End::Flush }
        })
    }

    fn with(response: Response, body: impl FnOnce(Bytes) -> Self) -> hyper::Response<Self> {
        let mut answer = hyper::Response::new(body(response.body));
        // A status out of range can only come from an ordered fault, for which 500 is precise enough.
        *answer.status_mut() =
            hyper::StatusCode::from_u16(response.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in response.headers {
            if let Ok(value) = value.parse() {
                answer.headers_mut().append(name, value);
            }
        }
        answer
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(bytes) = self.rest.take().filter(|bytes| !bytes.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.end {
            End::Clean => Poll::Ready(None),
            End::Flush => {
                self.end = End::Cut;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            End::Cut => Poll::Ready(Some(Err(Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.end {
            End::Clean => self.rest.as_ref().is_none_or(Bytes::is_empty),
            End::Flush | End::Cut => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
