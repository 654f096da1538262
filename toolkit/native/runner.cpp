// The native agent: carries out a plan (toolkit/targets/base.py) in the folder it is started in, and prints JSON lines.
//
//     ./runner plan.txt
//
// Linked with one runtime (model.h). It needs no Python, and no libraries but the runtime's, which lie beside it, and
// the system's C and C++ libraries. Proved by tests/native/test_runner.py.
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

#include "device.h"
#include "model.h"

namespace {

struct Play {
  std::string file, samples;
  long hop_samples;
};

struct Plan {
  std::vector<std::string> time;
  std::string peak;
  std::vector<Play> play;
  int warmups = 0, runs = 1, threads = 1;
  unsigned seed = 0;
  double seconds = 1, every_ms = 0;
  std::vector<int> cores;
};

using Clock = std::chrono::steady_clock;

FILE* lines;  // The runtimes talk on stdout's descriptor; our lines get one of their own.

// `2,3`
std::vector<int> read_cores(const std::string& text) {
  std::stringstream list(text);
  std::vector<int> cores;
  for (std::string core; std::getline(list, core, ',');) cores.push_back(std::atoi(core.c_str()));
  return cores;
}

Plan read_plan(const char* path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(std::string("there is no plan ") + path);
  Plan plan;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    std::stringstream words(line);
    std::string name, value;
    words >> name;
    if (name == "threads") words >> plan.threads;
    else if (name == "warmups") words >> plan.warmups;
    else if (name == "runs") words >> plan.runs;
    else if (name == "seconds") words >> plan.seconds;
    else if (name == "every_ms") words >> plan.every_ms;
    else if (name == "seed") words >> plan.seed;
    else if (name == "cores" && words >> value) plan.cores = read_cores(value);
    else if (name == "time" && words >> value) plan.time.push_back(value);
    else if (name == "peak") words >> plan.peak;
    else if (Play each; name == "play" && words >> each.file >> each.samples >> each.hop_samples)
      plan.play.push_back(each);
    else words.setstate(std::ios::failbit);
    if (words.fail() || words >> value)
      throw std::runtime_error(std::string(path) + " line " + std::to_string(number) + " says nothing known: " + line);
  }
  return plan;
}

// Random inputs: zeros and leftovers in memory may compute faster or slower than signals do.
void fill(const Tensor& input, std::mt19937& random) {
  if (input.is_float) {
    std::normal_distribution<float> normal;
    auto* values = static_cast<float*>(input.data);
    for (std::size_t k = 0; k < input.bytes / sizeof(float); ++k) values[k] = normal(random);
    return;
  }
  std::uniform_int_distribution<int> uniform(-100, 99);
  for (std::size_t at = 0; at < input.bytes; at += input.element_bytes) {
    const std::int64_t value = uniform(random);  // The first bytes of a little-endian integer are a narrower one.
    std::memcpy(static_cast<char*>(input.data) + at, &value, input.element_bytes);
  }
}

void copy_in(const std::vector<std::vector<char>>& values, const std::vector<Tensor>& inputs) {
  for (std::size_t k = 0; k < inputs.size(); ++k) std::memcpy(inputs[k].data, values[k].data(), inputs[k].bytes);
}

std::vector<char> copy_out(const Tensor& tensor) {
  const auto* data = static_cast<const char*>(tensor.data);
  return {data, data + tensor.bytes};
}

void put(std::stringstream& json, double value, const char* format) {
  char written[40];
  std::snprintf(written, sizeof written, format, value);
  json << written;
}

void sleep_until(Clock::time_point moment) {
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(moment - Clock::now()).count();
  if (left <= 0) return;
  timespec rest{static_cast<time_t>(left / 1000000000), static_cast<long>(left % 1000000000)};
  while (nanosleep(&rest, &rest) != 0) continue;
}

// Up to `count` inferences as JSON, in microseconds, one each `every_ms`; after `seconds` no more than two. Inputs are
// written before the clock starts.
std::string time_runs(Model& model, const std::vector<std::vector<char>>& values, int count, double seconds,
                      double every_ms) {
  const auto inputs = model.inputs();
  const auto begin = Clock::now();
  std::stringstream json;
  for (int k = 0; k < count; ++k) {
    if (k > 1 && std::chrono::duration<double>(Clock::now() - begin).count() > seconds) break;
    const std::chrono::duration<double, std::milli> since_begin(k * every_ms);
    sleep_until(begin + std::chrono::duration_cast<Clock::duration>(since_begin));
    copy_in(values, inputs);
    const auto start = Clock::now();
    model.run();
    const std::chrono::duration<double, std::micro> taken = Clock::now() - start;
    json << (k ? ", " : "");
    put(json, taken.count(), "%.3f");
  }
  return json.str();
}

void visit(const std::string& file, const Plan& plan, int core, std::mt19937& random) {
  const std::string before = condition(core);
  const auto model = load_model(file, plan.threads);
  std::vector<std::vector<char>> values;
  for (const Tensor& input : model->inputs()) {
    fill(input, random);
    values.push_back(copy_out(input));
  }
  const std::string warmups = time_runs(*model, values, plan.warmups, HUGE_VAL, plan.every_ms);
  const std::string latencies = time_runs(*model, values, plan.runs, plan.seconds, plan.every_ms);
  std::fprintf(lines,
               "{\"kind\": \"visit\", \"file\": %s, \"warmups_us\": [%s], \"latencies_us\": [%s], \"before\": %s, "
               "\"after\": %s}\n",
               quoted(file).c_str(), warmups.c_str(), latencies.c_str(), before.c_str(), condition(core).c_str());
}

// Load, write the inputs in place, run once: nothing of ours is as large as the model's own memory.
void measure_peak(const std::string& file, const Plan& plan, std::mt19937& random) {
  const auto model = load_model(file, plan.threads);
  for (const Tensor& input : model->inputs()) fill(input, random);
  model->run();
  std::fprintf(lines, "{\"kind\": \"peak\", \"file\": %s, \"peak_bytes\": %lld}\n", quoted(file).c_str(), peak_bytes());
}

// Hop by hop: the first input is the samples, the others are the last outputs of the hop before, zeros at first.
void play(const Play& play, const Plan& plan) {
  const auto model = load_model(play.file, plan.threads);
  const auto inputs = model->inputs();
  std::vector<std::vector<char>> values;
  for (const Tensor& input : inputs) {
    if (!input.is_float) throw std::runtime_error(play.file + " has an input that is not float32: it cannot be played");
    values.emplace_back(input.bytes);
  }
  const std::size_t hop_bytes = play.hop_samples * sizeof(float);
  if (values.empty() || values[0].size() != hop_bytes)
    throw std::runtime_error(play.file + " takes " + std::to_string(values.empty() ? 0 : values[0].size() / 4) +
                             " samples, the plan plays " + std::to_string(play.hop_samples));
  std::ifstream samples(play.samples, std::ios::binary);
  std::stringstream json;
  json << "{\"kind\": \"played\", \"file\": " << quoted(play.file) << ", \"scores\": [";
  int hop = 0;
  for (; samples.read(values[0].data(), hop_bytes); ++hop) {
    copy_in(values, inputs);
    model->run();
    const auto outputs = model->outputs();
    if (outputs.size() < inputs.size() || !outputs[0].is_float)
      throw std::runtime_error(play.file + " does not give float32 scores and a next state for each state it takes");
    for (std::size_t k = 1; k < inputs.size(); ++k) {
      const Tensor& next = outputs[outputs.size() - inputs.size() + k];
      if (next.bytes != inputs[k].bytes)
        throw std::runtime_error(play.file + " gives no next state that fits its input " + std::to_string(k));
      values[k] = copy_out(next);
    }
    json << (hop ? ", [" : "[");
    for (std::size_t k = 0; k < outputs[0].bytes / sizeof(float); ++k) {
      const float score = static_cast<const float*>(outputs[0].data)[k];
      if (!std::isfinite(score))
        throw std::runtime_error(play.file + " gives a score that is no number after hop " + std::to_string(hop + 1));
      json << (k ? ", " : "");
      put(json, score, "%.9g");
    }
    json << "]";
  }
  if (hop == 0) throw std::runtime_error(play.samples + " is missing, or holds less than one hop");
  std::fprintf(lines, "%s]}\n", json.str().c_str());
}

void carry_out(const Plan& plan) {
  const std::string started = now_utc();
  const std::vector<int> cores = take_cores(plan.cores, plan.threads);
  start_runtime(plan.threads);
  std::fprintf(lines, "{\"kind\": \"start\", \"environment\": %s, \"base_bytes\": %lld}\n",
               environment(cores, plan.threads, started).c_str(), peak_bytes());
  std::mt19937 random(plan.seed);
  for (const std::string& file : plan.time) visit(file, plan, cores.front(), random);
  if (!plan.peak.empty()) measure_peak(plan.peak, plan, random);
  for (const Play& each : plan.play) play(each, plan);
}

}  // namespace

int main(int count, char** arguments) {
  lines = fdopen(dup(1), "w");
  setvbuf(lines, nullptr, _IOLBF, BUFSIZ);
  dup2(2, 1);
  try {
    if (count != 2) throw std::runtime_error("usage: runner plan.txt");
    carry_out(read_plan(arguments[1]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return std::fflush(lines) == 0 ? 0 : 1;
}
