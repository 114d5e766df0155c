//! What a fault edits, whatever the protocol: tensors, rows, text, JSON, usage. Protocols show
//! their messages through these; faults see nothing else of them.

use serde_json::Value;

/// One number of a tensor, or its raw bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Float(f64),
    Int(i64),
    Uint(u64),
}

/// The element type of a tensor, by its Open Inference name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    Bool,
    Bytes,
    Fp16,
    Fp32,
    Fp64,
    Int16,
    Int32,
    Int64,
    Int8,
    Uint16,
    Uint32,
    Uint64,
    Uint8,
}

impl DataType {
    /// The type of an Open Inference name, `"FP32"`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "BOOL" => Self::Bool,
            "BYTES" => Self::Bytes,
            "FP16" => Self::Fp16,
            "FP32" => Self::Fp32,
            "FP64" => Self::Fp64,
            "INT16" => Self::Int16,
            "INT32" => Self::Int32,
            "INT64" => Self::Int64,
            "INT8" => Self::Int8,
            "UINT16" => Self::Uint16,
            "UINT32" => Self::Uint32,
            "UINT64" => Self::Uint64,
            "UINT8" => Self::Uint8,
            _ => return None,
        })
    }
}

/// A tensor in a message.
pub trait TensorView {
    fn name(&self) -> &str;
    fn data_type(&self) -> DataType;
    fn shape(&self) -> &[i64];
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The element at a flat index; `None` beyond the end or where it is no number.
    fn scalar(&self, index: usize) -> Option<Scalar>;
    /// Replaces an element. The value is cast to the tensor's type.
    fn set_scalar(&mut self, index: usize, value: Scalar);
}

/// Rows of a feature store: entity × feature.
pub trait RowsView {
    fn rows(&self) -> usize;
    fn features(&self) -> usize;
    /// The value of a feature for an entity; `None` where it is missing.
    fn value(&self, row: usize, feature: usize) -> Option<&[u8]>;
    /// Replaces a value; `None` makes it missing.
    fn set_value(&mut self, row: usize, feature: usize, value: Option<&[u8]>);
}

/// Generated text in a message.
pub trait TextView {
    fn text(&self) -> &str;
    fn set_text(&mut self, text: &str);
}

/// A message as a JSON document.
pub trait JsonView {
    fn root(&self) -> &Value;
    fn root_mut(&mut self) -> &mut Value;
}

impl JsonView for Value {
    fn root(&self) -> &Value {
        self
    }

    fn root_mut(&mut self) -> &mut Value {
        self
    }
}

/// Token counts that an answer reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
}

/// A message that reports token counts.
pub trait UsageView {
    fn usage(&self) -> Usage;
    fn set_usage(&mut self, usage: Usage);
}
