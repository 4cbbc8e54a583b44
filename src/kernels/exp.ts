// @ts-ignore: decorator
@inline
export function expF32x4(v: v128): v128 {
  return f32x4(<f32>Math.exp(<f64>f32x4.extract_lane(v,0)),<f32>Math.exp(<f64>f32x4.extract_lane(v,1)),<f32>Math.exp(<f64>f32x4.extract_lane(v,2)),<f32>Math.exp(<f64>f32x4.extract_lane(v,3)));
}
