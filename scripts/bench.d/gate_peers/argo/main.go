// Runs Argo Rollouts' own analysis controller over a list of metrics, one AnalysisRun each.
//
// The controller, its providers and its conditions are those of the module; what stands in is the
// cluster, by the clients that the module's own tests use. Standard input says what to run, standard
// output how each AnalysisRun ended.
package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	kubeinformers "k8s.io/client-go/informers"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/argoproj/argo-rollouts/analysis"
	"github.com/argoproj/argo-rollouts/controller/metrics"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/pkg/client/clientset/versioned/fake"
	informers "github.com/argoproj/argo-rollouts/pkg/client/informers/externalversions"
	"github.com/argoproj/argo-rollouts/utils/queue"
	"github.com/argoproj/argo-rollouts/utils/record"
)

const namespace = "shop"

type asked struct {
	Secrets []corev1.Secret `json:"secrets"`
	Runs    []struct {
		Name   string          `json:"name"`
		Metric v1alpha1.Metric `json:"metric"`
	} `json:"runs"`
	// How long in all; what has not ended then has not passed.
	Seconds int `json:"seconds"`
	// When a rollout that is done ends its analysis in the background; 0 for never.
	Terminate int `json:"terminate"`
}

type told struct {
	Name    string `json:"name"`
	Phase   string `json:"phase"`
	Value   string `json:"value"`
	Message string `json:"message"`
}

func main() {
	logrus.SetOutput(io.Discard)
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	var all asked
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		panic(err)
	}
	secrets := make([]runtime.Object, 0, len(all.Secrets))
	for i := range all.Secrets {
		secrets = append(secrets, &all.Secrets[i])
	}
	kube, client := kubefake.NewSimpleClientset(secrets...), fake.NewSimpleClientset()
	watching := make(chan struct{}, 1)
	client.PrependWatchReactor("analysisruns", func(action clienttesting.Action) (bool, watch.Interface, error) {
		inner, err := client.Tracker().Watch(action.GetResource(), action.GetNamespace())
		if err != nil {
			return true, nil, err
		}
		// The client's own watch holds a hundred events and panics at the next one.
		outer := watch.NewFakeWithChanSize(1<<16, false)
		go func() {
			for event := range inner.ResultChan() {
				outer.Action(event.Type, event.Object)
			}
		}()
		watching <- struct{}{}
		return true, outer, nil
	})
	factory, kubeFactory := informers.NewSharedInformerFactory(client, 0), kubeinformers.NewSharedInformerFactory(kube, 0)
	runs := factory.Argoproj().V1alpha1().AnalysisRuns()
	jobs, pods := kubeFactory.Batch().V1().Jobs(), kubeFactory.Core().V1().Pods()
	server := metrics.NewMetricsServer(metrics.ServerConfig{
		RolloutLister:                 factory.Argoproj().V1alpha1().Rollouts().Lister(),
		ExperimentLister:              factory.Argoproj().V1alpha1().Experiments().Lister(),
		AnalysisRunLister:             runs.Lister(),
		AnalysisTemplateLister:        factory.Argoproj().V1alpha1().AnalysisTemplates().Lister(),
		ClusterAnalysisTemplateLister: factory.Argoproj().V1alpha1().ClusterAnalysisTemplates().Lister(),
		K8SRequestProvider:            &metrics.K8sRequestsCountProvider{},
	})
	controller := analysis.NewController(analysis.ControllerConfig{
		KubeClientSet:        kube,
		ArgoProjClientset:    client,
		AnalysisRunInformer:  runs,
		JobInformer:          jobs,
		JobPodsInformer:      pods,
		AnalysisRunWorkQueue: workqueue.NewNamedRateLimitingQueue(queue.DefaultArgoRolloutsRateLimiter(), "AnalysisRuns"),
		MetricsServer:        server,
		Recorder:             record.NewFakeEventRecorder(),
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(all.Seconds)*time.Second)
	defer cancel()
	go runs.Informer().Run(ctx.Done())
	<-watching
	// Silent sources hold a worker each, for good where a provider has no time limit.
	go controller.Run(ctx, 256)
	for _, one := range all.Runs {
		one.Metric.Name = "metric"
		run := &v1alpha1.AnalysisRun{
			ObjectMeta: metav1.ObjectMeta{Name: one.Name, Namespace: namespace},
			Spec:       v1alpha1.AnalysisRunSpec{Metrics: []v1alpha1.Metric{one.Metric}},
		}
		if _, err := client.ArgoprojV1alpha1().AnalysisRuns(namespace).Create(ctx, run, metav1.CreateOptions{}); err != nil {
			panic(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if all.Terminate > 0 {
		time.Sleep(time.Duration(all.Terminate) * time.Second)
		patch := []byte(`{"spec":{"terminate":true}}`)
		for _, one := range all.Runs {
			_, err := client.ArgoprojV1alpha1().AnalysisRuns(namespace).Patch(ctx, one.Name, types.MergePatchType, patch, metav1.PatchOptions{})
			if err != nil {
				panic(err)
			}
		}
	}
	out := json.NewEncoder(os.Stdout)
	waiting := len(all.Runs)
	seen := map[string]bool{}
	for waiting > 0 && ctx.Err() == nil {
		time.Sleep(time.Second)
		for _, one := range all.Runs {
			run, err := runs.Lister().AnalysisRuns(namespace).Get(one.Name)
			if err != nil || seen[one.Name] || !run.Status.Phase.Completed() {
				continue
			}
			seen[one.Name] = true
			waiting--
			if err := out.Encode(tell(run)); err != nil {
				panic(err)
			}
		}
	}
	for _, one := range all.Runs {
		if run, err := runs.Lister().AnalysisRuns(namespace).Get(one.Name); err == nil && !seen[one.Name] {
			if err := out.Encode(tell(run)); err != nil {
				panic(err)
			}
		}
	}
}

func tell(run *v1alpha1.AnalysisRun) told {
	all := told{Name: run.Name, Phase: string(run.Status.Phase), Message: run.Status.Message}
	for _, result := range run.Status.MetricResults {
		for _, measurement := range result.Measurements {
			all.Value = measurement.Value
			if all.Message == "" {
				all.Message = measurement.Message
			}
		}
	}
	return all
}
