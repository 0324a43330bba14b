// A stand-in for the part of ONNX Runtime's C++ headers that examples/cpp/run_embedded.cpp uses, with the same signatures.
// It runs no model. `Run` writes the input to the file that DOUBLE_INPUT names, and gives the outputs that are in the file
// that DOUBLE_OUTPUT names (keypoints, then scores, as float32); the shape of the input is in DOUBLE_SHAPE ("1 128 96 3").
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

enum OrtLoggingLevel { ORT_LOGGING_LEVEL_WARNING = 2 };
enum OrtAllocatorType { OrtDeviceAllocator = 0, OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeDefault = 0 };
struct OrtMemoryInfo {};

namespace Ort {

struct Exception : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline std::string variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw Exception(std::string(name) + " is not set");
  return value;
}

struct TensorTypeAndShapeInfo {
  std::vector<int64_t> shape;
  std::vector<int64_t> GetShape() const { return shape; }
};

struct TypeInfo {
  TensorTypeAndShapeInfo tensor;
  TensorTypeAndShapeInfo GetTensorTypeAndShapeInfo() const { return tensor; }
};

struct Env {
  Env(OrtLoggingLevel, const char*) {}
};
struct SessionOptions {};
struct RunOptions {
  explicit RunOptions(std::nullptr_t) {}
};

struct MemoryInfo {
  OrtMemoryInfo info;
  static MemoryInfo CreateCpu(OrtAllocatorType, OrtMemType) { return {}; }
  operator const OrtMemoryInfo*() const { return &info; }
};

struct Value {
  std::vector<int64_t> shape;
  std::vector<char> bytes;

  template <typename T>
  static Value CreateTensor(const OrtMemoryInfo*, T* data, std::size_t count, const int64_t* shape, std::size_t rank) {
    const char* first = reinterpret_cast<const char*>(data);
    return {{shape, shape + rank}, {first, first + count * sizeof(T)}};
  }
  TensorTypeAndShapeInfo GetTensorTypeAndShapeInfo() const { return {shape}; }
  template <typename T>
  const T* GetTensorData() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
};

struct Session {
  Session(Env&, const char* path, const SessionOptions&) {
    if (!std::ifstream(path)) throw Exception(std::string(path) + " does not exist");
  }
  TypeInfo GetInputTypeInfo(std::size_t) const {
    std::istringstream text(variable("DOUBLE_SHAPE"));
    return {{{std::istream_iterator<int64_t>(text), std::istream_iterator<int64_t>()}}};
  }
  std::vector<Value> Run(const RunOptions&, const char* const* inputs, const Value* values, std::size_t input_count,
                         const char* const* outputs, std::size_t output_count) {
    if (input_count != 1 || std::string(inputs[0]) != "crops") throw Exception("the input is called crops");
    if (output_count != 2 || std::string(outputs[0]) != "keypoints" || std::string(outputs[1]) != "scores")
      throw Exception("the outputs are called keypoints and scores");
    std::ofstream(variable("DOUBLE_INPUT"), std::ios::binary).write(values[0].bytes.data(), values[0].bytes.size());
    std::ifstream file(variable("DOUBLE_OUTPUT"), std::ios::binary);
    std::vector<char> all{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const int64_t count = static_cast<int64_t>(all.size() / (3 * sizeof(float)));
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(count * 2 * sizeof(float));
    return {Value{{1, count, 2}, {all.begin(), middle}}, Value{{1, count}, {middle, all.end()}}};
  }
};

}  // namespace Ort
