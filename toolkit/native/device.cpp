// See device.h.
#include "device.h"

#include <glob.h>
#include <gnu/libc-version.h>
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "model.h"

namespace {

// A small file's text, without the spaces, zeros and line ends behind it; empty where there is none.
std::string text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream read;
  read << file.rdbuf();
  std::string found = read.str();
  while (!found.empty() && (found.back() == '\0' || found.back() == '\n' || found.back() == ' ')) found.pop_back();
  return found;
}

// The first `name : value` of a file.
std::string field(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos || line.compare(0, name.size(), name) != 0) continue;
    if (line.find_first_not_of(" \t", name.size()) != colon) continue;
    const auto value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

// A text that is a number, times `scale`; null otherwise.
std::string number(const std::string& digits, double scale) {
  char* end = nullptr;
  const double value = std::strtod(digits.c_str(), &end);
  if (end == digits.c_str() || *end != '\0') return "null";
  char written[32];
  std::snprintf(written, sizeof written, "%.10g", value * scale);
  return written;
}

std::string quoted_or_null(const std::string& found) { return found.empty() ? "null" : quoted(found); }

std::string frequency_folder(int core) {
  return "/sys/devices/system/cpu/cpu" + std::to_string(core) + "/cpufreq/";
}

std::string clock_mhz(int core) {
  const std::string khz = text(frequency_folder(core) + "scaling_cur_freq");
  return khz.empty() ? number(field("/proc/cpuinfo", "cpu MHz"), 1) : number(khz, 1e-3);
}

std::string temperature_c() { return number(text("/sys/class/thermal/thermal_zone0/temp"), 1e-3); }

// A Raspberry Pi's firmware says it in hexadecimal digits. Source: its kernel, drivers/firmware/raspberrypi.c.
std::string throttled() {
  glob_t found;
  std::string flags;
  if (glob("/sys/devices/platform/soc*/*firmware/get_throttled", 0, nullptr, &found) == 0) {
    flags = text(found.gl_pathv[0]);
    globfree(&found);
  }
  if (!flags.empty() && flags.compare(0, 2, "0x") != 0) flags = "0x" + flags;
  return quoted_or_null(flags);
}

// The affinity mask of cores in hexadecimal digits, of which each tells four.
std::string core_mask(const std::vector<int>& cores) {
  std::vector<int> digits(*std::max_element(cores.begin(), cores.end()) / 4 + 1);
  for (const int core : cores) digits[core / 4] |= 1 << core % 4;
  std::string mask = "0x";
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) mask += "0123456789abcdef"[*digit];
  return mask;
}

std::string cpu_name() {
  for (const std::string& name : {text("/proc/device-tree/model"), field("/proc/cpuinfo", "model name"),
                                  field("/proc/cpuinfo", "Model"), field("/proc/cpuinfo", "Hardware")})
    if (!name.empty()) return name;
  return "unknown";
}

}  // namespace

std::vector<int> take_cores(std::vector<int> cores, int threads) {
  cpu_set_t set;
  if (cores.empty()) {
    sched_getaffinity(0, sizeof set, &set);
    for (int core = CPU_SETSIZE - 1; core >= 0 && static_cast<int>(cores.size()) < threads; --core)
      if (CPU_ISSET(core, &set)) cores.insert(cores.begin(), core);
  }
  CPU_ZERO(&set);
  std::string names;
  for (const int core : cores) {
    CPU_SET(core, &set);
    names += " " + std::to_string(core);
  }
  // The system itself leaves out cores that it has not.
  bool taken = sched_setaffinity(0, sizeof set, &set) == 0 && sched_getaffinity(0, sizeof set, &set) == 0;
  for (const int core : cores) taken = taken && CPU_ISSET(core, &set);
  if (!taken)
    throw std::runtime_error("this device does not let a process run on its core(s)" + names + ". Name one: --cores 0");
  return cores;
}

std::string environment(const std::vector<int>& cores, int threads, const std::string& started_utc) {
  utsname system{};
  uname(&system);
  const std::string name = std::string(system.sysname) + "-" + system.release + "-" + system.machine + "-with-glibc" +
                           gnu_get_libc_version();
  double load = 0;
  const bool load_known = getloadavg(&load, 1) == 1;
  const int core = cores.front();
  std::stringstream json;
  json << "{\"machine\": " << quoted(system.machine) << ", \"cpu\": " << quoted(cpu_name())
       << ", \"system\": " << quoted(name) << ", \"python\": \"none\", \"runtime\": " << quoted(runtime_name)
       << ", \"runtime_version\": " << quoted(RUNTIME_VERSION) << ", \"threads\": " << threads
       << ", \"core_mask\": " << quoted(core_mask(cores))
       << ", \"governor\": " << quoted_or_null(text(frequency_folder(core) + "scaling_governor"))
       << ", \"clock_mhz\": " << clock_mhz(core) << ", \"temperature_c\": " << temperature_c()
       << ", \"load_average\": " << (load_known ? std::to_string(load) : "null")
       << ", \"started_utc\": " << quoted(started_utc) << "}";
  return json.str();
}

std::string condition(int core) {
  return "{\"clock_mhz\": " + clock_mhz(core) + ", \"temperature_c\": " + temperature_c() +
         ", \"throttled\": " + throttled() + "}";
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char written[32];
  std::strftime(written, sizeof written, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
  return written;
}

long long peak_bytes() { return std::atoll(field("/proc/self/status", "VmHWM").c_str()) * 1024; }

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') json += '\\';
    json += letter < ' ' || letter > '~' ? '?' : letter;
  }
  return json + "\"";
}
