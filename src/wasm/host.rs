//! What the page lends: files that it reads for us slice by slice, a clock, turns for other work, and a place to show progress.

use super::{
    FileSource, Files, JsHost, NamedFile,
    plain::{AskedCompanions, parse},
};
use crate::{
    LocalFuture,
    engine::{Host, Stage},
    source::{ByteSource, ModelFiles, SourceError},
};
use std::{ops::Range, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};

/// A file that JavaScript reads for us, slice by slice.
struct HostFile {
    name: String,
    len: u64,
    source: FileSource,
}

impl ByteSource for HostFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, range: Range<u64>) -> LocalFuture<'_, Result<Vec<u8>, SourceError>> {
        Box::pin(async move {
            let failed = |reason: String| SourceError::Read { what: self.name.clone(), reason };
            let expected = range.end.checked_sub(range.start).filter(|_| range.end <= self.len);
            let expected = expected.ok_or_else(|| failed(format!("bytes {range:?} were asked of {}", self.len)))?;
            let read = self.source.read(range.start as f64, range.end as f64).await.map_err(|error| failed(describe(&error)))?;
            let bytes = read.dyn_ref::<js_sys::Uint8Array>().ok_or_else(|| failed("no bytes came".to_string()))?.to_vec();
            match bytes.len() as u64 == expected {
                true => Ok(bytes),
                false => Err(failed(format!("{expected} bytes were asked for, {} came", bytes.len()))),
            }
        })
    }
}

pub(super) fn model_files(files: &Files) -> Result<ModelFiles, JsValue> {
    let source = |file: NamedFile| -> (String, Rc<dyn ByteSource>) {
        let name = file.name();
        let source = file.source();
        (name.clone(), Rc::new(HostFile { name, len: source.size() as u64, source }))
    };
    let companions: AskedCompanions = parse(files.companions())?;
    Ok(ModelFiles { weights: files.weights().into_iter().map(source).collect(), companions: companions.into() })
}

type Pause = Rc<dyn Fn() -> LocalFuture<'static, ()>>;

pub(super) fn core_host(host: Rc<JsHost>) -> Host {
    let slow = host.slow_completion();
    let (clock, pause, timer, progress) = (host.clone(), host.clone(), host.clone(), host);
    Host {
        clock: Some(Rc::new(move || clock.now())),
        pause: Some(Rc::new(move || {
            let host = pause.clone();
            Box::pin(async move { host.pause().await })
        })),
        // Firefox completes GPU work on a 100 ms timer (bug 1870699) unless something is submitted meanwhile.
        gpu_pause: slow.then(|| -> Pause {
            Rc::new(move || {
                let host = timer.clone();
                Box::pin(async move { host.wait().await })
            })
        }),
        progress: Some(Rc::new(move |stage, done, total| progress.progress(stage_name(stage), done as f64, total as f64))),
        ..Host::default()
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Read => "read",
        Stage::Upload => "upload",
        Stage::Compile => "compile",
        Stage::Warmup => "warmup",
    }
}

/// What a thrown value says of itself.
fn describe(value: &JsValue) -> String {
    value.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{value:?}"), |error| String::from(error.message()))
}
