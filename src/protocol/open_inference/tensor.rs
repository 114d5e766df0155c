//! The tensors of a JSON message as faults see them. Data stands flat or nested, in row-major
//! order; both are read and written in place.
//! Source: Open Inference Protocol, "Tensor Data".

use serde_json::{Number, Value};

use crate::view::{DataType, Scalar, TensorView};

/// The tensors of an answer that carry their data in JSON. Those in binary parts are left out.
pub fn outputs(body: &mut Value) -> impl Iterator<Item = JsonTensor<'_>> {
    body.get_mut("outputs")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(JsonTensor::new)
}

/// One tensor.
#[derive(Debug)]
pub struct JsonTensor<'a> {
    name: &'a str,
    data_type: DataType,
    shape: Vec<i64>,
    /// The elements in row-major order.
    elements: Vec<&'a mut Value>,
}

impl<'a> JsonTensor<'a> {
    /// `None` where the value is no tensor, or one whose data is elsewhere.
    pub fn new(tensor: &'a mut Value) -> Option<Self> {
        let fields = tensor.as_object_mut()?;
        let (mut name, mut data_type, mut shape, mut data) = (None, None, None, None);
        for (key, value) in fields {
            match key.as_str() {
                "name" => name = value.as_str(),
                "datatype" => data_type = value.as_str().and_then(DataType::from_name),
                "shape" => {
                    let sizes = value.as_array()?.iter().map(Value::as_i64);
                    shape = Some(sizes.collect::<Option<Vec<i64>>>()?);
                }
                "data" => data = value.as_array_mut(),
                _ => {}
            }
        }
        Some(Self {
            name: name?,
            data_type: data_type?,
            shape: shape?,
            elements: flatten(data?),
        })
    }
}

/// The leaves of nested lists, in order, without recursion.
fn flatten(data: &mut [Value]) -> Vec<&mut Value> {
    let mut leaves = Vec::new();
    let mut open = vec![data.iter_mut()];
    while let Some(level) = open.last_mut() {
        match level.next() {
            Some(Value::Array(inner)) => open.push(inner.iter_mut()),
            Some(leaf) => leaves.push(leaf),
            None => {
                open.pop();
            }
        }
    }
    leaves
}

impl TensorView for JsonTensor<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn data_type(&self) -> DataType {
        self.data_type
    }

    fn shape(&self) -> &[i64] {
        &self.shape
    }

    fn len(&self) -> usize {
        self.elements.len()
    }

    fn scalar(&self, index: usize) -> Option<Scalar> {
        let value: &Value = self.elements.get(index)?;
        match self.data_type {
            DataType::Bool => value.as_bool().map(Scalar::Bool),
            DataType::Bytes => None,
            DataType::Fp16 | DataType::Fp32 | DataType::Fp64 => value.as_f64().map(Scalar::Float),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                value.as_i64().map(Scalar::Int)
            }
            DataType::Uint8 | DataType::Uint16 | DataType::Uint32 | DataType::Uint64 => {
                value.as_u64().map(Scalar::Uint)
            }
        }
    }

    fn set_scalar(&mut self, index: usize, value: Scalar) {
        if let Some(element) = self.elements.get_mut(index)
            && let Some(value) = cast(self.data_type, value)
        {
            **element = value;
        }
    }
}

/// A scalar as the JSON of a type; saturating, as Rust's casts are. `None` where the type has no
/// numbers. JSON has no NaN and no infinities: `null` stands for them, as most writers do.
fn cast(data_type: DataType, value: Scalar) -> Option<Value> {
    let (low, high) = match data_type {
        DataType::Bool => return Some(Value::Bool(is_true(value))),
        DataType::Bytes => return None,
        DataType::Fp16 | DataType::Fp32 | DataType::Fp64 => {
            return Some(Number::from_f64(as_float(value)).map_or(Value::Null, Value::Number));
        }
        DataType::Int8 => (i128::from(i8::MIN), i128::from(i8::MAX)),
        DataType::Int16 => (i128::from(i16::MIN), i128::from(i16::MAX)),
        DataType::Int32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
        DataType::Int64 => (i128::from(i64::MIN), i128::from(i64::MAX)),
        DataType::Uint8 => (0, i128::from(u8::MAX)),
        DataType::Uint16 => (0, i128::from(u16::MAX)),
        DataType::Uint32 => (0, i128::from(u32::MAX)),
        DataType::Uint64 => (0, i128::from(u64::MAX)),
    };
    let whole = as_whole(value).clamp(low, high);
    Number::from_i128(whole).map(Value::Number)
}

const fn is_true(value: Scalar) -> bool {
    match value {
        Scalar::Bool(value) => value,
        Scalar::Float(value) => value != 0.0,
        Scalar::Int(value) => value != 0,
        Scalar::Uint(value) => value != 0,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a cast to a float type loses precision by its nature"
)]
fn as_float(value: Scalar) -> f64 {
    match value {
        Scalar::Bool(value) => f64::from(u8::from(value)),
        Scalar::Float(value) => value,
        Scalar::Int(value) => value as f64,
        Scalar::Uint(value) => value as f64,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast to an integer type drops the fraction and saturates"
)]
const fn as_whole(value: Scalar) -> i128 {
    match value {
        Scalar::Bool(value) => value as i128,
        Scalar::Float(value) => value as i128,
        Scalar::Int(value) => value as i128,
        Scalar::Uint(value) => value as i128,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flat_and_nested_data_are_the_same_tensor() {
        for data in [json!([1.0, 2.0, 3.0, 4.0]), json!([[1.0, 2.0], [3.0, 4.0]])] {
            let mut body = json!({"outputs": [
                {"name": "p", "datatype": "FP32", "shape": [2, 2], "data": data},
                {"name": "b", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
            ]});
            let mut tensors: Vec<_> = outputs(&mut body).collect();
            assert_eq!(tensors.len(), 1, "the binary one is not shown");
            let tensor = &mut tensors[0];
            assert_eq!((tensor.name(), tensor.len()), ("p", 4));
            assert_eq!(tensor.shape(), [2, 2]);
            assert_eq!(tensor.scalar(2), Some(Scalar::Float(3.0)));
            assert_eq!(tensor.scalar(4), None);
            tensor.set_scalar(2, Scalar::Float(-1.5));
            tensor.set_scalar(9, Scalar::Float(0.0));
            assert_eq!(tensor.scalar(2), Some(Scalar::Float(-1.5)));
        }
    }

    #[test]
    fn values_are_cast_to_the_type_and_saturate() {
        for (data_type, value, expected) in [
            (DataType::Int8, Scalar::Int(300), json!(127)),
            (DataType::Uint8, Scalar::Float(-2.5), json!(0)),
            (DataType::Int32, Scalar::Float(2.9), json!(2)),
            (DataType::Uint64, Scalar::Uint(u64::MAX), json!(u64::MAX)),
            (DataType::Fp32, Scalar::Float(f64::NAN), Value::Null),
            (DataType::Bool, Scalar::Int(2), json!(true)),
        ] {
            assert_eq!(cast(data_type, value), Some(expected), "{data_type:?}");
        }
        assert_eq!(cast(DataType::Bytes, Scalar::Int(1)), None);
    }
}
