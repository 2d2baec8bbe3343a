//! A model that was read → a session on the device that the options and the self-test allow.

use super::{DeviceChoice, DeviceReport, EngineOptions, Stage, device};
use crate::{
    Result,
    cpu::Cpu,
    model::{arch::Blueprint, self_test, weights},
    plan::Machine,
    session::{Request, SamplingParams, Session, SessionOptions},
    source::Checkpoint,
};

/// Brings a model onto a device.
pub(super) struct Loader<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) blueprint: &'a Blueprint,
    pub(super) options: &'a EngineOptions,
}

impl Loader<'_> {
    /// The session, and why its device was chosen.
    pub(super) async fn load(&self) -> Result<(Session, DeviceReport)> {
        let why_cpu = match self.options.device {
            DeviceChoice::Cpu => "the CPU was asked for".to_string(),
            choice => match device::gpu(choice, &self.options.host).await {
                Ok((gpu, reason)) => match self.load_on_gpu(gpu).await {
                    Ok(session) => {
                        let report = DeviceReport::new(session.machine().device(), reason);
                        return Ok((session, report));
                    }
                    Err(error) if choice == DeviceChoice::Gpu || error.is_bad_input() => return Err(error),
                    Err(error) => format!("the GPU cannot run it: {error}"),
                },
                Err(error) if choice == DeviceChoice::Gpu => return Err(error.into()),
                Err(error) => device::why_not(&error),
            },
        };
        let pause = self.options.host.pause.clone();
        let cpu = if self.options.exact { Cpu::new(pause) } else { Cpu::rounding(pause) };
        let session = self.load_on(Box::new(cpu)).await?;
        let report = DeviceReport::new(session.machine().device(), why_cpu);
        Ok((session, report))
    }

    async fn load_on_gpu(&self, gpu: crate::gpu::Gpu) -> Result<Session> {
        let mut session = self.load_on(Box::new(gpu)).await?;
        self.test(&mut session).await?;
        Ok(session)
    }

    async fn load_on(&self, mut machine: Box<dyn Machine>) -> Result<Session> {
        let weights = weights::reserve(self.checkpoint, self.blueprint, machine.as_mut())?;
        self.options.host.tell(Stage::Compile, 0, 1);
        let options = SessionOptions {
            count: self.options.count,
            context: self.options.context_for(&self.blueprint.config),
            chunk: machine.prefill_rows(),
            clock: self.options.host.clock.clone(),
        };
        // First, because it needs no values: a file that is still on its way goes on coming meanwhile.
        let mut session = Session::new(machine, self.blueprint.config.clone(), weights, options).await?;
        self.options.host.tell(Stage::Compile, 1, 1);
        let (weights, machine) = session.weights_to_stream();
        weights.stream(self.checkpoint, machine, &mut |done, total| self.options.host.tell(Stage::Upload, done, total)).await?;
        Ok(session)
    }

    /// Four tokens against the CPU: all logits of the kernels that decode drafts together, and what each decoding plan draws.
    async fn test(&self, session: &mut Session) -> Result<()> {
        self.options.host.tell(Stage::Warmup, 0, 1);
        let config = &self.blueprint.config;
        let tokens = self_test::tokens(config.vocab_size);
        let expected = self_test::reference_logits(self.checkpoint, config, session.weights(), &tokens).await?;
        let found = session.decoding_logits(&tokens).await?;
        self_test::compare(&expected, &found[(tokens.len() - 1) * config.vocab_size as usize..])?;
        for count in session.plan_counts() {
            let request = Request { prompt: tokens.to_vec(), count, max_tokens: 1, sampling: SamplingParams::GREEDY, ..Request::default() };
            session.start(&request).await?;
            while let Some(step) = session.next().await? {
                self_test::expect_best(&expected, step.token)?;
            }
        }
        self.options.host.tell(Stage::Warmup, 1, 1);
        Ok(())
    }
}
