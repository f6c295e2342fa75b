# The public names of neuroprompt: read by type checkers, and by `__init__.py`, which imports each at its first use.

from .benchmarks.latency import bench as bench
from .benchmarks.latency_result import LatencyBenchmark as LatencyBenchmark
from .bundles.artefact import run as run
from .bundles.bundle import Bundle as Bundle
from .bundles.contents import load_model as load_model
from .bundles.data_run import DataRun as DataRun
from .bundles.data_run import run_items as run_items
from .bundles.export import export as export
from .bundles.hub import pull as pull
from .bundles.hub import push as push
from .bundles.results import Labels as Labels
from .bundles.results import Predictions as Predictions
from .bundles.results import SpikeRun as SpikeRun
from .compiler.compile import model_of_graph as model_of_graph
from .compiler.read import read_graph as read_graph
from .contracts.deployment import Exported as Exported
from .contracts.deployment import Exporter as Exporter
from .contracts.deployment import Prices as Prices
from .contracts.deployment import Recording as Recording
from .contracts.deployment import SpikingTarget as SpikingTarget
from .contracts.deployment import Target as Target
from .contracts.learning import Backbone as Backbone
from .contracts.learning import Data as Data
from .contracts.learning import Head as Head
from .contracts.learning import Prompt as Prompt
from .contracts.specs import BackboneSpec as BackboneSpec
from .contracts.work import Engine as Engine
from .contracts.work import Resources as Resources
from .energy.energy import energy as energy
from .energy.lines import EnergyEstimate as EnergyEstimate
from .errors import NeuropromptError as NeuropromptError
from .progress import Progress as Progress
from .report.card import Card as Card
from .report.card import card as card
from .report.write import Report as Report
from .report.write import report as report
from .simulators.compare import compare as compare
from .simulators.verify import Verification as Verification
from .simulators.verify import verify as verify
from .spiking.activity import Activity as Activity
from .spiking.program import SpikingModel as SpikingModel
from .sweeps.cells import Point as Point
from .sweeps.cells import grid as grid
from .sweeps.result import Sweep as Sweep
from .sweeps.sweep import sweep as sweep
from .training.accuracy import Accuracy as Accuracy
from .training.config import RunConfig as RunConfig
from .training.config import configure as configure
from .training.evaluation import evaluate as evaluate
from .training.loop import train as train
from .training.quantisation_aware import loihi_aware as loihi_aware
from .training.run_folder import Run as Run

__version__: str
__all__: list[str]
