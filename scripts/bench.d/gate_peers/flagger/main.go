// Asks Flagger's own canary controller what its metric checks make of a list of metrics.
//
// The controller, its providers and its judgement are those of the module; what stands in is the
// cluster, by the clients that the module's own tests use. Standard input says what to ask, standard
// output whether each canary would advance, and what Flagger says of it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	_ "unsafe" // for the name of a method that the module keeps to itself

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubefake "k8s.io/client-go/kubernetes/fake"

	flaggerv1 "github.com/fluxcd/flagger/pkg/apis/flagger/v1beta1"
	"github.com/fluxcd/flagger/pkg/client/clientset/versioned/fake"
	informers "github.com/fluxcd/flagger/pkg/client/informers/externalversions"
	"github.com/fluxcd/flagger/pkg/controller"
	"github.com/fluxcd/flagger/pkg/notifier"
)

// The judgement that decides whether a canary advances.
//
//go:linkname runMetricChecks github.com/fluxcd/flagger/pkg/controller.(*Controller).runMetricChecks
func runMetricChecks(*controller.Controller, *flaggerv1.Canary) bool

const namespace = "shop"

type asked struct {
	Secrets []corev1.Secret `json:"secrets"`
	Checks  []struct {
		Name     string                       `json:"name"`
		Template flaggerv1.MetricTemplateSpec `json:"template"`
		Metric   flaggerv1.CanaryMetric       `json:"metric"`
	} `json:"checks"`
}

type told struct {
	Name     string `json:"name"`
	Advances bool   `json:"advances"`
	Message  string `json:"message"`
}

// words keeps what Flagger says of each canary.
type words struct {
	zapcore.LevelEnabler
	canary string
	said   *sync.Map
}

func (w words) With(fields []zapcore.Field) zapcore.Core {
	for _, field := range fields {
		if field.Key == "canary" {
			w.canary = field.String
		}
	}
	return w
}

func (w words) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return checked.AddCore(entry, w)
}

func (w words) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if w.canary != "" {
		w.said.Store(w.canary, entry.Message)
	}
	return nil
}

func (words) Sync() error { return nil }

func main() {
	var all asked
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		panic(err)
	}
	secrets := make([]runtime.Object, 0, len(all.Secrets))
	for i := range all.Secrets {
		secrets = append(secrets, &all.Secrets[i])
	}
	kube, client := kubefake.NewSimpleClientset(secrets...), fake.NewSimpleClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	known := controller.Informers{
		CanaryInformer: factory.Flagger().V1beta1().Canaries(),
		MetricInformer: factory.Flagger().V1beta1().MetricTemplates(),
		AlertInformer:  factory.Flagger().V1beta1().AlertProviders(),
	}
	said := &sync.Map{}
	logger := zap.New(words{LevelEnabler: zapcore.InfoLevel, said: said}).Sugar()
	ctrl := controller.NewController(kube, nil, client, known, 0, logger, &notifier.NopNotifier{},
		nil, nil, nil, "kubernetes", "bench", "", "", true, nil)
	templates := known.MetricInformer.Informer().GetIndexer()
	out, lock, done := json.NewEncoder(os.Stdout), sync.Mutex{}, sync.WaitGroup{}
	free := make(chan struct{}, 64)
	for _, one := range all.Checks {
		template := &flaggerv1.MetricTemplate{
			ObjectMeta: metav1.ObjectMeta{Name: one.Name, Namespace: namespace},
			Spec:       one.Template,
		}
		if err := templates.Add(template); err != nil {
			panic(err)
		}
		one.Metric.Name = "metric"
		one.Metric.TemplateRef = &flaggerv1.CrossNamespaceObjectReference{Name: one.Name, Namespace: namespace}
		canary := &flaggerv1.Canary{
			ObjectMeta: metav1.ObjectMeta{Name: one.Name, Namespace: namespace},
			Spec: flaggerv1.CanarySpec{
				TargetRef: flaggerv1.LocalObjectReference{Kind: "Deployment", Name: one.Name},
				Analysis:  &flaggerv1.CanaryAnalysis{Metrics: []flaggerv1.CanaryMetric{one.Metric}},
			},
		}
		done.Add(1)
		free <- struct{}{}
		go func() {
			defer func() { <-free; done.Done() }()
			answer := told{Name: one.Name}
			func() {
				defer func() {
					if surprise := recover(); surprise != nil {
						answer.Message = fmt.Sprintf("panic: %v", surprise)
					}
				}()
				answer.Advances = runMetricChecks(ctrl, canary)
			}()
			if text, ok := said.Load(one.Name + "." + namespace); ok && answer.Message == "" {
				answer.Message = text.(string)
			}
			lock.Lock()
			defer lock.Unlock()
			if err := out.Encode(answer); err != nil {
				panic(err)
			}
		}()
	}
	done.Wait()
}
