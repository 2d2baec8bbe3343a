//! The door to JavaScript, and the only file that knows it: plain data in, plain data and futures out.

use wasm_bindgen::prelude::*;

/// A loaded model.
#[wasm_bindgen]
pub struct Kinglet {}

/// Loads a model.
#[wasm_bindgen]
pub async fn load(files: JsValue, options: JsValue, host: JsValue) -> Result<Kinglet, JsValue> {
    let _ = (files, options, host);
    Err(JsValue::from_str("nothing to load yet"))
}

#[wasm_bindgen]
impl Kinglet {
    /// info
    pub fn info(&self) -> JsValue { JsValue::NULL }
    /// compose
    pub fn compose(&self, brief: JsValue) -> JsValue { brief }
    /// generate
    pub fn generate(&self, brief: JsValue) -> JsValue { brief }
    /// bytes
    #[wasm_bindgen(js_name = deviceBytes)]
    pub fn device_bytes(&self) -> f64 { 0.0 }
}
