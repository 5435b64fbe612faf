// TimeFit: how long a device takes for b samples, t(b) = a + c b, learnt from what it took, newest first.
//
// Pure; one thread. A value of about 80 bytes: a manager keeps one for each of tens of thousands of nodes.
//
// Least squares with exponential forgetting, kept as weighted means and (co)variances of b and t: the same estimate as
// recursive least squares (Ljung, System Identification, 1999, 11.2), but it can't wind up, and shows at once whether b
// has varied enough to tell a from c. If it has not, all time is taken to be proportional to b. One wild measurement is
// held back; a second one of the same kind in a row says that the device has changed, and starts the fit anew.
#pragma once

#include <cstdint>

namespace eddl::net {

class TimeFit {
 public:
  struct Line {
    double fixed_seconds = 0;       // a >= 0
    double seconds_per_sample = 0;  // c > 0; 0 before the first measurement
    double variation = 0;           // standard deviation of t over its mean
  };

  // A lease of `samples` took `seconds`. Anything but positive finite numbers is ignored.
  void Add(double samples, double seconds);

  Line line() const;
  // a + c b; 0 before the first measurement.
  double Predict(double samples) const;
  // s: the standard deviation around the line, in seconds, at about the sizes seen lately.
  double Sigma() const;
  bool empty() const { return weight_ == 0; }

 private:
  double Slope() const;
  void Learn(double samples, double seconds);

  double weight_ = 0;  // Σ forgetting^age
  double mean_samples_ = 0;
  double mean_seconds_ = 0;
  double samples_variance_ = 0;
  double seconds_variance_ = 0;
  double covariance_ = 0;
  double squared_weight_ = 0;  // Σ forgetting^(2 age)
  int8_t wild_ = 0;            // the last one was: 1 far too slow, -1 far too fast
};

}  // namespace eddl::net
