// The subcommands of eddl-node. Each prints for people or programs and returns the process's exit code (exit_code.h).
#pragma once

#include "tools/eddl_node/arguments.h"

namespace eddl {

// Trains the model of a job file on this device.
int RunCommand(const TrainArguments& arguments);
// Accuracy, loss and confusions of a trained model on labelled data.
int RunCommand(const EvalArguments& arguments);
// Labels and probabilities for samples without labels.
int RunCommand(const PredictArguments& arguments);
// The devices of this machine, and the plugins that could not be loaded.
int RunCommand(const DevicesArguments& arguments);
// Compares a backend with the reference, op by op, then with the cpu backend in training.
int RunCommand(const CheckArguments& arguments);
// The plan of a job's training step, or how fast a running cluster would train it; without training.
int RunCommand(const PlanArguments& arguments);
// A job file with every key and its documentation.
int RunCommand(const JobArguments& arguments);
int RunCommand(const VersionArguments& arguments);
// Writes a report on a run into its folder.
int RunCommand(const ReportArguments& arguments);
// Starts a cluster, and manages it until its job is over.
int RunCommand(const ManageArguments& arguments);
// Takes part in a cluster with this device.
int RunCommand(const JoinArguments& arguments);
// Asks a running cluster: status, why, leave, stop, fetch.
int RunCommand(const AskArguments& arguments);
// Adds labelled entries to a running job.
int RunCommand(const ContributeArguments& arguments);

}  // namespace eddl
