// 한국어. All texts of the page in Korean.
import { type Texts, en } from './en.ts';

export const ko: Texts = {
  languageName: '한국어',
  bar: {
    skip: '본문으로 건너뛰기',
    views: '화면',
    understand: '이해하기',
    try: '모델 써 보기',
    models: '모델',
    sessions: '세션',
    more: '더 보기',
    docs: 'API',
    problems: '오류',
    language: '언어',
    theme: '테마',
    themes: { auto: '시스템 설정', light: '밝게', dark: '어둡게' },
    key: 'API 키',
    keySet: 'API 키: 설정됨',
  },
  key: {
    title: 'API 키',
    explanation: '이 탭을 닫을 때까지 보관되며, 이 페이지의 모든 호출에 함께 보내집니다.',
    label: '키',
    save: '저장',
    forget: '지우기',
    cancel: '취소',
  },
  snippets: {
    title: '가져가기',
    copy: '복사',
    copied: '복사했습니다.',
    notCopied: '브라우저가 복사를 허용하지 않았습니다. 글을 선택해 직접 복사하세요.',
  },
  heatmap: {
    summary: (name, rows, columns) => `${name}, ${rows} × ${columns}. 화살표 키로 값을 하나씩 살펴볼 수 있습니다.`,
  },
  understand: {
    title: '순환 신경망의 한 스텝',
    cells: {
      rnn: {
        name: 'RNN (tanh)',
        explanation: '순환 신경망은 시계열을 한 스텝씩 읽습니다. 새 입력과 지금까지의 기억을 합쳐 다음 기억인 은닉 상태 `h`를 만들고, 이를 다음 스텝으로 넘깁니다. 가중치는 모든 스텝에서 똑같습니다.',
        formulas: en.understand.cells.rnn.formulas,
      },
      gru: {
        name: 'GRU',
        explanation: 'GRU는 먼저 새 상태의 후보 `n`을 만듭니다. 그리고 0과 1 사이의 값을 갖는 게이트가 비율을 정합니다. `z`는 이전 상태를 얼마나 남길지, `r`은 후보를 만들 때 이전 상태를 얼마나 참고할지를 정합니다.',
        formulas: en.understand.cells.gru.formulas,
      },
      lstm: {
        name: 'LSTM',
        explanation: 'LSTM에는 두 번째 기억인 셀 상태 `c`가 있습니다. 셀 상태는 0과 1 사이의 값을 갖는 게이트를 거쳐서만 바뀝니다. `f`는 지우고, `i`는 쓰고, `o`는 `c`의 일부를 은닉 상태 `h`로 내보냅니다.',
        formulas: en.understand.cells.lstm.formulas,
      },
    },
    gate: '게이트',
    gatesTitle: '게이트',
    updateTitle: '새 상태',
    gates: {
      gru: {
        r: { name: '리셋', explanation: '리셋 게이트: 후보 `n`을 만들 때 이전 상태를 얼마나 참고할지 정합니다.' },
        z: { name: '업데이트', explanation: '업데이트 게이트: 1이면 이전 상태가 그대로 남고, 0이면 후보로 바뀝니다.' },
        n: { name: '후보', explanation: '새 상태의 후보입니다. 이전 상태에서 온 항에는 `r`을 원소별로 곱합니다.' },
      },
      lstm: {
        i: { name: '입력', explanation: '입력 게이트: 후보 `g`를 셀 상태에 얼마나 쓸지 정합니다.' },
        f: { name: '망각', explanation: '망각 게이트: 이전 셀 상태를 얼마나 남길지 정합니다. 1이면 몇 스텝이 지나도 그대로 이어집니다.' },
        g: { name: '후보', explanation: '셀 상태에 쓸 후보입니다.' },
        o: { name: '출력', explanation: '출력 게이트: 셀 상태를 은닉 상태 `h`로 얼마나 내보낼지 정합니다.' },
      },
    },
    lines: {
      memory: '기억에 `W_h`를 곱합니다',
      input: '입력에 `W_x`를 곱합니다',
      bias: '모든 행에 똑같이',
    },
    sum: {
      hint: '숫자를 가리키거나 Tab과 화살표 키로 옮겨 가면 그 값이 어떻게 계산되었는지 볼 수 있습니다. 밑줄이 있는 숫자는 바꿀 수 있습니다. 숫자를 누르거나 Enter 키를 누른 뒤 입력하세요. 주황색은 0보다 큰 값, 파란색은 0보다 작은 값입니다.',
      more: (count) => `… ${count}개 항 생략 …`,
    },
    curve: {
      label: (activation) => `${activation} 곡선과 그 위에 놓인 이번 스텝의 값`,
      tanh: (atTwo) => `tanh는 \`z\`가 아무리 커도 −1과 1 사이의 값으로 바꿉니다. tanh 2 ≈ ${atTwo}. 점은 이번 스텝의 값입니다.`,
      sigmoid: (atTwo) => `σ는 \`z\`가 아무리 커도 밸브처럼 0과 1 사이의 값으로 바꿉니다. σ(2) ≈ ${atTwo}. 점은 이번 스텝의 값입니다.`,
    },
    controls: {
      cell: '셀',
      sizes: { N: '행', D: '입력', H: '은닉 유닛' },
      input: '다음 스텝의 입력',
      seed: '시드',
      random: '가중치 다시 뽑기',
    },
    series: { sine: '사인파', impulse: '임펄스 한 번, 이후 0', noise: '잡음', same: '직전 x 그대로' },
    run: {
      label: '스텝',
      reset: '처음으로',
      step: '한 스텝',
      play: '재생',
      pause: '멈춤',
      speed: '속도',
      batchRow: '배치의 행',
      stepsPerSecond: (count) => `초당 ${count}스텝`,
      position: (t, T) => (t === T ? `t = ${t}` : `t = ${t} / ${T}`),
    },
    time: {
      title: '시간 순서로 펼친 신경망',
      explanation: '한 열이 한 스텝이고, 시간은 오른쪽으로 흐릅니다. 모든 `h`는 왼쪽의 `h`와 위쪽의 `x`로부터 같은 가중치로 계산됩니다. 열을 고르면 그 스텝의 식을 볼 수 있습니다.',
      slider: (name) => `시간에 따른 ${name}: 표시할 스텝`,
      strip: (rows, T) => `${rows} × ${T}`,
    },
  },
  failure: {
    title: '실패했습니다.',
    unauthenticated: '이 서비스에는 API 키가 필요합니다. 위에서 입력하세요.',
    unreachable: '서비스가 응답하지 않습니다. 아직 실행 중인지 확인하세요.',
  },
};
