// ExecuTorch with XNNPACK, against the libraries of its Python wheel (1.5 and later), which need no Python.
//
// A file is loaded as `Module` does it unless told otherwise, in C++ and in the Android library alike: it is read, not
// mapped. One run is `Method::execute`; inputs are written straight into the method's own memory.
#include <executorch/extension/module/module.h>

#include <stdexcept>

#include "model.h"

// The wheel has the library of this class and not its header; these are the two members that are called.
namespace executorch::extension::threadpool {
class ThreadPool final {
 public:
  std::size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(std::uint32_t threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

const char* const runtime_name = "executorch";

namespace {

using executorch::extension::Module;
using executorch::runtime::Error;

void check(Error error, const std::string& file) {
  if (error != Error::Ok)
    throw std::runtime_error("executorch " RUNTIME_VERSION " cannot run " + file + ": error " +
                             std::to_string(static_cast<int>(error)));
}

class ExecuTorchModel final : public Model {
 public:
  explicit ExecuTorchModel(const std::string& file) : file_(file), module_(file, Module::LoadMode::File) {
    check(module_.load_forward(), file);
    const auto method = module_.method("forward");
    check(method.error(), file);
    method_ = *method;
    for (std::size_t k = 0; k < method_->inputs_size(); ++k) {
      auto tensor = tensor_of(method_->mutable_input(k));
      if (tensor.const_data_ptr() == nullptr) {  // The file's plan leaves this input to the caller.
        own_.emplace_back(tensor.nbytes());
        tensor.unsafeGetTensorImpl()->set_data(own_.back().data());
      }
      inputs_.push_back(described(tensor));
    }
  }

  std::vector<Tensor> inputs() override { return inputs_; }

  std::vector<Tensor> outputs() override {
    std::vector<Tensor> outputs;
    for (std::size_t k = 0; k < method_->outputs_size(); ++k)
      outputs.push_back(described(tensor_of(method_->get_output(k))));
    return outputs;
  }

  void run() override { check(method_->execute(), file_); }

 private:
  executorch::aten::Tensor tensor_of(const executorch::runtime::EValue& value) const {
    if (!value.isTensor()) throw std::runtime_error(file_ + " has an input or output that is no tensor");
    return value.toTensor();
  }

  Tensor described(const executorch::aten::Tensor& tensor) const {
    using executorch::aten::ScalarType;
    const bool is_float = tensor.scalar_type() == ScalarType::Float;
    if (!is_float && !executorch::runtime::isIntegralType(tensor.scalar_type(), /*includeBool=*/false))
      throw std::runtime_error(file_ + " has an input or output that is neither float32 nor integers");
    void* data = tensor.unsafeGetTensorImpl()->mutable_data();
    return {data, tensor.nbytes(), static_cast<std::size_t>(tensor.element_size()), is_float};
  }

  const std::string file_;
  Module module_;
  executorch::extension::Method* method_ = nullptr;
  std::vector<std::vector<char>> own_;
  std::vector<Tensor> inputs_;
};

}  // namespace

void start_runtime(int threads) {
  auto* pool = executorch::extension::threadpool::get_threadpool();
  pool->_unsafe_reset_threadpool(threads);
  if (pool->get_thread_count() != static_cast<std::size_t>(threads))
    throw std::runtime_error("executorch " RUNTIME_VERSION " does not start " + std::to_string(threads) + " thread(s)");
}

std::unique_ptr<Model> load_model(const std::string& file, int) { return std::make_unique<ExecuTorchModel>(file); }
