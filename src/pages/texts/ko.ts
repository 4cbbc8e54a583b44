// 한국어. All texts of the page in Korean.
import type { Texts } from './en.ts';

export const ko: Texts = {
  languageName: '한국어',
  bar: {
    skip: '본문으로 건너뛰기',
    views: '화면',
    understand: '이해하기',
    try: '모델 써 보기',
    models: '모델',
    sessions: '세션',
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
  failure: {
    title: '실패했습니다.',
    unauthenticated: '이 서비스에는 API 키가 필요합니다. 위에서 입력하세요.',
    unreachable: '서비스가 응답하지 않습니다. 아직 실행 중인지 확인하세요.',
  },
};
