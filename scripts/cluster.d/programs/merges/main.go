// What kubectl's own library makes of three-way merges: one JSON object a line with kind, original,
// modified and current in, one with patch and merged (or error) out. An oracle for tests.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

type triple struct {
	Kind                        string
	Original, Modified, Current json.RawMessage
}

type answer struct {
	Patch  json.RawMessage `json:"patch,omitempty"`
	Merged json.RawMessage `json:"merged,omitempty"`
	Error  string          `json:"error,omitempty"`
}

var kinds = map[string]any{
	"ConfigMap": &core.ConfigMap{}, "CronJob": &batch.CronJob{}, "Deployment": &apps.Deployment{},
	"Node": &core.Node{}, "Pod": &core.Pod{}, "PodDisruptionBudget": &policy.PodDisruptionBudget{}, "Service": &core.Service{},
	"ServiceAccount": &core.ServiceAccount{}, "StatefulSet": &apps.StatefulSet{},
}

func merge(given triple) (patch, merged []byte, err error) {
	schema, err := strategicpatch.NewPatchMetaFromStruct(kinds[given.Kind])
	if err != nil {
		return nil, nil, err
	}
	patch, err = strategicpatch.CreateThreeWayMergePatch(given.Original, given.Modified, given.Current, schema, true)
	if err != nil {
		return nil, nil, err
	}
	merged, err = strategicpatch.StrategicMergePatchUsingLookupPatchMeta(given.Current, patch, schema)
	return patch, merged, err
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var given triple
		if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
			panic(err)
		}
		patch, merged, err := merge(given)
		told := answer{Patch: patch, Merged: merged}
		if err != nil {
			told = answer{Error: err.Error()}
		}
		if err := out.Encode(told); err != nil {
			panic(err)
		}
	}
}
