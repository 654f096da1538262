// LiteRT's compiled models with XNNPACK, against `libLiteRt.so` of the ai-edge-litert wheel (2.3 and later).
//
// The wheel has no headers: what is called of the C API is declared here. That library exports none of the older
// TfLite C API. It maps the file; inputs and outputs are buffers of the caller, in which the kernels compute.
// Source: google-ai-edge/LiteRT, litert/c/*.h; CPU options go by name as text: litert/c/options/litert_cpu_options.cc.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "model.h"

extern "C" {
struct LiteRtLayout {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  std::int32_t dimensions[8];
  std::uint32_t strides[8];
};
struct LiteRtRankedTensorType {
  int element_type;  // LiteRtElementType
  LiteRtLayout layout;
};
struct LiteRtEnvOption {
  int tag;                    // LiteRtEnvOptionTag
  alignas(8) int value_type;  // LiteRtAny: its type, then its value
  alignas(8) std::int64_t value;
};
static_assert(sizeof(LiteRtRankedTensorType) == 72 && sizeof(LiteRtEnvOption) == 24, "as the library lays them out");
typedef struct LiteRtEnvironmentT* LiteRtEnvironment;
typedef struct LiteRtModelT* LiteRtModel;
typedef struct LiteRtOptionsT* LiteRtOptions;
typedef struct LiteRtOpaqueOptionsT* LiteRtOpaqueOptions;
typedef struct LiteRtCompiledModelT* LiteRtCompiledModel;
typedef struct LiteRtSignatureT* LiteRtSignature;
typedef struct LiteRtSubgraphT* LiteRtSubgraph;
typedef struct LiteRtTensorT* LiteRtTensor;
typedef struct LiteRtTensorBufferRequirementsT* LiteRtTensorBufferRequirements;
typedef struct LiteRtTensorBufferT* LiteRtTensorBuffer;

// All that return an int return a LiteRtStatus: 0 is well.
int LiteRtCreateEnvironment(int count, const LiteRtEnvOption* options, LiteRtEnvironment* environment);
int LiteRtCreateModelFromFile(LiteRtEnvironment environment, const char* file, LiteRtModel* model);
void LiteRtDestroyModel(LiteRtModel model);
int LiteRtGetModelSignature(LiteRtModel model, std::size_t index, LiteRtSignature* signature);
int LiteRtGetSignatureSubgraph(LiteRtSignature signature, LiteRtSubgraph* subgraph);
int LiteRtGetNumSubgraphInputs(LiteRtSubgraph subgraph, std::size_t* count);
int LiteRtGetNumSubgraphOutputs(LiteRtSubgraph subgraph, std::size_t* count);
int LiteRtGetSubgraphInput(LiteRtSubgraph subgraph, std::size_t index, LiteRtTensor* tensor);
int LiteRtGetSubgraphOutput(LiteRtSubgraph subgraph, std::size_t index, LiteRtTensor* tensor);
int LiteRtGetSignatureInputTensorByIndex(LiteRtSignature signature, std::size_t index, LiteRtTensor* tensor);
int LiteRtGetSignatureOutputTensorByIndex(LiteRtSignature signature, std::size_t index, LiteRtTensor* tensor);
int LiteRtGetRankedTensorType(LiteRtTensor tensor, LiteRtRankedTensorType* type);
int LiteRtCreateOptions(LiteRtOptions* options);
void LiteRtDestroyOptions(LiteRtOptions options);
int LiteRtSetOptionsHardwareAccelerators(LiteRtOptions options, int accelerators);
int LiteRtAddOpaqueOptions(LiteRtOptions options, LiteRtOpaqueOptions added);
int LiteRtCreateOpaqueOptions(const char* name, void* text, void (*free_text)(void*), LiteRtOpaqueOptions* options);
int LiteRtCreateCompiledModel(LiteRtEnvironment environment, LiteRtModel model, LiteRtOptions options,
                              LiteRtCompiledModel* compiled);
void LiteRtDestroyCompiledModel(LiteRtCompiledModel compiled);
int LiteRtGetCompiledModelInputBufferRequirements(LiteRtCompiledModel compiled, std::size_t signature,
                                                  std::size_t index, LiteRtTensorBufferRequirements* requirements);
int LiteRtGetCompiledModelOutputBufferRequirements(LiteRtCompiledModel compiled, std::size_t signature,
                                                   std::size_t index, LiteRtTensorBufferRequirements* requirements);
int LiteRtCreateManagedTensorBufferFromRequirements(LiteRtEnvironment environment, const LiteRtRankedTensorType* type,
                                                    LiteRtTensorBufferRequirements requirements,
                                                    LiteRtTensorBuffer* buffer);
int LiteRtGetTensorBufferHostMemory(LiteRtTensorBuffer buffer, void** memory);
int LiteRtGetTensorBufferPackedSize(LiteRtTensorBuffer buffer, std::size_t* bytes);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer buffer);
int LiteRtRunCompiledModel(LiteRtCompiledModel compiled, std::size_t signature, std::size_t input_count,
                           LiteRtTensorBuffer* inputs, std::size_t output_count, LiteRtTensorBuffer* outputs);
}

const char* const runtime_name = "tflite";

namespace {

constexpr int kAutoRegisterAccelerators = 24, kMinLoggerSeverity = 25;  // LiteRtEnvOptionTag
constexpr int kAnyInt = 2;                                             // LiteRtAnyType
constexpr int kCpu = 1;                                                // LiteRtHwAccelerators
constexpr int kErrorsOnly = 3;                                         // LiteRtLogSeverity
constexpr std::size_t kSignature = 0;

LiteRtEnvironment environment;

void check(int status, const std::string& file, const char* doing) {
  if (status != 0)
    throw std::runtime_error("LiteRT " RUNTIME_VERSION " cannot run " + file + ": status " + std::to_string(status) +
                             " while " + doing);
}

std::size_t element_bytes(int type, const std::string& file) {
  switch (type) {  // LiteRtElementType
    case 3: case 9: return 1;           // uint8, int8
    case 7: case 17: return 2;          // int16, uint16
    case 1: case 2: case 16: return 4;  // float32, int32, uint32
    case 4: case 13: return 8;          // int64, uint64
    default: throw std::runtime_error(file + " has an input or output that is neither float32 nor integers");
  }
}

// Inputs or outputs of a compiled model: handles in the signature's order, tensors in the file's, as Python has them.
class Buffers {
 public:
  ~Buffers() {
    for (auto* buffer : handles) LiteRtDestroyTensorBuffer(buffer);
  }

  template <typename Count, typename InFile, typename InSignature, typename Required>
  void make(Count count, InFile in_file, InSignature in_signature, Required required, LiteRtSignature signature,
            LiteRtCompiledModel compiled, const std::string& file) {
    LiteRtSubgraph graph;
    std::size_t size;
    check(LiteRtGetSignatureSubgraph(signature, &graph), file, "reading its signature");
    check(count(graph, &size), file, "reading its signature");
    tensors.resize(size);
    for (std::size_t k = 0; k < size; ++k) {
      LiteRtTensor tensor, other;
      LiteRtRankedTensorType type;
      LiteRtTensorBufferRequirements requirements;
      check(in_signature(signature, k, &tensor), file, "reading its signature");
      check(LiteRtGetRankedTensorType(tensor, &type), file, "reading a tensor's type");
      check(required(compiled, kSignature, k, &requirements), file, "asking for a tensor's size");
      handles.push_back(nullptr);
      check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, requirements, &handles.back()), file,
            "making a buffer");
      Tensor made{nullptr, 0, element_bytes(type.element_type, file), type.element_type == 1};
      check(LiteRtGetTensorBufferHostMemory(handles.back(), &made.data), file, "making a buffer");
      check(LiteRtGetTensorBufferPackedSize(handles.back(), &made.bytes), file, "making a buffer");
      for (std::size_t place = 0; place < size; ++place) {
        check(in_file(graph, place, &other), file, "reading its graph");
        if (other == tensor) tensors[place] = made;
      }
    }
  }

  std::vector<LiteRtTensorBuffer> handles;
  std::vector<Tensor> tensors;
};

class LiteRtModelFile final : public Model {
 public:
  LiteRtModelFile(const std::string& file, int threads) : file_(file) {
    check(LiteRtCreateModelFromFile(environment, file.c_str(), &model_), file, "reading it");
    LiteRtOptions options;
    LiteRtOpaqueOptions cpu;
    char* text = strdup(("num_threads = " + std::to_string(threads) + "\n").c_str());
    check(LiteRtCreateOptions(&options), file, "setting options");
    check(LiteRtSetOptionsHardwareAccelerators(options, kCpu), file, "setting options");
    check(LiteRtCreateOpaqueOptions("xnnpack", text, std::free, &cpu), file, "setting options");
    check(LiteRtAddOpaqueOptions(options, cpu), file, "setting options");
    check(LiteRtCreateCompiledModel(environment, model_, options, &compiled_), file, "preparing its kernels");
    LiteRtDestroyOptions(options);
    LiteRtSignature signature;
    check(LiteRtGetModelSignature(model_, kSignature, &signature), file, "reading its signature");
    inputs_.make(LiteRtGetNumSubgraphInputs, LiteRtGetSubgraphInput, LiteRtGetSignatureInputTensorByIndex,
                 LiteRtGetCompiledModelInputBufferRequirements, signature, compiled_, file);
    outputs_.make(LiteRtGetNumSubgraphOutputs, LiteRtGetSubgraphOutput, LiteRtGetSignatureOutputTensorByIndex,
                  LiteRtGetCompiledModelOutputBufferRequirements, signature, compiled_, file);
  }

  ~LiteRtModelFile() override {
    if (compiled_ != nullptr) LiteRtDestroyCompiledModel(compiled_);
    if (model_ != nullptr) LiteRtDestroyModel(model_);
  }

  std::vector<Tensor> inputs() override { return inputs_.tensors; }
  std::vector<Tensor> outputs() override { return outputs_.tensors; }

  void run() override {
    check(LiteRtRunCompiledModel(compiled_, kSignature, inputs_.handles.size(), inputs_.handles.data(),
                                 outputs_.handles.size(), outputs_.handles.data()),
          file_, "running it");
  }

 private:
  const std::string file_;
  LiteRtModel model_ = nullptr;
  LiteRtCompiledModel compiled_ = nullptr;
  Buffers inputs_, outputs_;
};

}  // namespace

void start_runtime(int) {
  const LiteRtEnvOption options[] = {{kAutoRegisterAccelerators, kAnyInt, kCpu},
                                     {kMinLoggerSeverity, kAnyInt, kErrorsOnly}};
  check(LiteRtCreateEnvironment(2, options, &environment), "anything", "starting");
}

std::unique_ptr<Model> load_model(const std::string& file, int threads) {
  return std::make_unique<LiteRtModelFile>(file, threads);
}
