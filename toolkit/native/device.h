// What a Linux device says of itself: cores, clock, temperature, memory. Each answer is JSON, null where there is none.
#pragma once

#include <string>
#include <vector>

// `cores`, or the last `threads` ones that this process may use if none are named; the process is bound to them.
std::vector<int> take_cores(std::vector<int> cores, int threads);

// The toolkit's `Environment`.
std::string environment(const std::vector<int>& cores, int threads, const std::string& started_utc);

// The toolkit's `Condition`: clock, temperature and throttle flags now.
std::string condition(int core);

std::string now_utc();

// Greatest resident memory of this process so far (VmHWM).
long long peak_bytes();

// A string in JSON; what is not ASCII becomes `?`.
std::string quoted(const std::string& text);
