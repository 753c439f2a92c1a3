package kernel

// Products in integers work on groups of 256 elements of a row. A group has 16 lanes of 16 consecutive elements, and
// quad j of lane l holds elements 4j to 4j+3 of the lane, so that one VPDPBUSD adds four elements to each lane's sum.

// weights is a group of a weight row: element = scale*(quant-128) - min, scale and min being its lane's.
type weights struct {
	quants [4][16][4]uint8
	scales [16]float32
	mins   [16]float32 // not written for types without minima
}

// inputs is a group of an activation row: element = scale*quant.
type inputs struct {
	quants [4][16][4]int8
	bias   [16]int32 // -128 times the sum of a lane's quants
	scales [16]float32
	sums   [16]float32 // of a lane's elements
}

// groupLen is the number of elements of a group; a row's last group is padded with zeros.
const groupLen = 256

func groupsOf(n int) int { return (n + groupLen - 1) / groupLen }

// productGeneric is the specification of the integer product of two rows of groups. Lanes' integer sums are exact;
// each lane then adds its groups in order, and the lanes are added as a tree.
func productGeneric(w []weights, x []inputs, mins bool) float32 {
	var acc [16]float32
	for g := range w {
		w, x := &w[g], &x[g]
		for l := range acc {
			sum := x.bias[l]
			for j := range 4 {
				for i, q := range w.quants[j][l] {
					sum += int32(q) * int32(x.quants[j][l][i])
				}
			}
			acc[l] += float32(float32(sum) * float32(w.scales[l]*x.scales[l]))
			if mins {
				acc[l] -= float32(w.mins[l] * x.sums[l])
			}
		}
	}
	var s [4]float32
	for q := range s {
		a := acc[4*q:][:4]
		s[q] = (a[0] + a[2]) + (a[1] + a[3])
	}
	return (s[0] + s[2]) + (s[1] + s[3])
}

// productsGeneric sets dst[t][r] to the product of w's row r and x's row t.
func productsGeneric(dst Mat, w []weights, x Inputs, rows, tokens int, mins bool) {
	for t := range tokens {
		for r := range rows {
			dst.Data[t*dst.Stride+r] = productGeneric(w[r*x.groups:][:x.groups], x.data[t*x.stride:][:x.groups], mins)
		}
	}
}
