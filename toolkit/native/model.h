// What a runtime offers to the runner: `executorch.cpp` and `litert.cpp` each define it once, and a runner holds one.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

// Memory of one input or output: float32, or integers of `element_bytes`.
struct Tensor {
  void* data;
  std::size_t bytes;
  std::size_t element_bytes;
  bool is_float;
};

// A loaded file. Inputs are memory to be written before each run: a runtime may compute in it. Outputs hold what the
// last run gave until inputs are written again. Errors are std::runtime_error.
class Model {
 public:
  virtual ~Model() = default;
  virtual std::vector<Tensor> inputs() = 0;
  virtual std::vector<Tensor> outputs() = 0;
  virtual void run() = 0;
};

// As the toolkit's `Runtime` calls it.
extern const char* const runtime_name;

// Make the runtime ready, with no model yet; called once, before any file is loaded.
void start_runtime(int threads);

// Load a file as apps do; its kernels use the runtime's own number of threads.
std::unique_ptr<Model> load_model(const std::string& file, int threads);
